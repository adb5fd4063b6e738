package org.lorakernels.merge;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.MergeKernels;
import org.lorakernels.Tensor;

/**
 * The methods on plain tensors: each is sparsified, then all are added with weights or by TIES'
 * disjoint merge. Arithmetic is F32 whatever the dtype of the tensors, where PEFT rounds the
 * intermediate results of 16-bit adapters to 16 bits.
 */
public final class TensorCombiner {
  private final CombineConfig config;

  /**
   * A combiner.
   *
   * @param config method and parameters
   * @throws InvalidArgumentException if the method needs a density and has none, or does not work
   *     on single tensors (slerp)
   */
  public TensorCombiner(CombineConfig config) {
    this.config = config;
    config.density();
    if (config.method().domain() == CombineMethod.Domain.MODELS) {
      throw new InvalidArgumentException(
          config.method() + ": interpolates between whole weights, not between their differences");
    }
    if (config.masks().isPresent() && config.method().dropping() != CombineMethod.Dropping.RANDOM) {
      throw new InvalidArgumentException(
          "masks: only the methods of DARE take masks, but the method is " + config.method());
    }
  }

  /**
   * Combines.
   *
   * @param module name of the module, which with part and index tells masks apart
   * @param part what the tensors are
   * @param tensors at least one, of one shape, finite; not changed unless {@code reuse}
   * @param weights one for each
   * @param reuse whether the tensors may be overwritten, which saves a copy of each
   * @param out shape of the tensors, any float dtype; none of them
   */
  public void combine(
      String module,
      CombineMasks.Part part,
      List<Tensor> tensors,
      float[] weights,
      boolean reuse,
      Tensor out) {
    List<Tensor> copies = new ArrayList<>();
    try {
      List<Tensor> sparse = new ArrayList<>();
      for (int i = 0; i < tensors.size(); i++) {
        Tensor tensor = tensors.get(i);
        if (config.density() == 1 && config.masks().isEmpty()) {
          sparse.add(tensor);
          continue;
        }
        Tensor target = tensor;
        if (!reuse) {
          target = Tensor.zeros(tensor.device(), org.lorakernels.DType.F32, tensor.shape());
          copies.add(target);
        }
        sparsify(module, part, i, tensor, target);
        sparse.add(target);
      }
      if (config.method().electsSign()) {
        MergeKernels.combineElected(sparse, weights, config.majoritySign(), out);
      } else {
        MergeKernels.combineLinear(sparse, weights, out);
      }
    } finally {
      copies.forEach(Tensor::close);
    }
  }

  private void sparsify(
      String module, CombineMasks.Part part, int index, Tensor tensor, Tensor target) {
    long elements = tensor.elementCount();
    double density = config.density();
    long stream = stream(module, part, index);
    switch (config.method().dropping()) {
      case NOTHING -> target.copyFrom(tensor);
      case SMALL -> MergeKernels.keepRanked(tensor, 0, (long) (density * elements), target);
      case OUTLIERS -> {
        long keep = (long) (density * elements);
        long skip = Math.min((long) (config.gamma() * elements), elements - keep);
        MergeKernels.keepRanked(tensor, skip, keep, target);
      }
      case RANDOM -> {
        if (config.masks().isPresent()) {
          Tensor mask = config.masks().get().mask(module, part, index);
          MergeKernels.keepMasked(tensor, mask, (float) density, target);
        } else {
          MergeKernels.keepRandom(tensor, (float) density, config.seed(), stream, target);
        }
      }
      case BY_MAGNITUDE ->
          MergeKernels.keepByMagnitude(
              tensor, (float) density, (float) config.epsilon(), config.seed(), stream, target);
      default -> throw new AssertionError(config.method());
    }
  }

  /** A number for every mask: the FNV-1a hash of what it is for. */
  private static long stream(String module, CombineMasks.Part part, int index) {
    long hash = 0xcbf29ce484222325L;
    for (byte b : (module + "/" + part + "/" + index).getBytes(StandardCharsets.UTF_8)) {
      hash = (hash ^ (b & 0xff)) * 0x100000001b3L;
    }
    return hash;
  }
}
