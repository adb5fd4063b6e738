package org.lorakernels.merge;

import java.util.List;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraKernels;
import org.lorakernels.MergeKernels;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;

/**
 * Adapters that are added to one weight together: in F32, and rounded once. Owns the adapters.
 *
 * @param adapters of one weight, at least one
 */
record AdapterSum(List<LoraAdapter> adapters) implements AutoCloseable {
  static AdapterSum of(LoraAdapter adapter) {
    return new AdapterSum(List.of(adapter));
  }

  /** base + adapters, dense in {@code out}. */
  Tensor mergedInto(Weight base, DType out) {
    if (adapters.size() > 1) {
      try (Tensor sum = changed(base, adapters, false)) {
        return sum.to(out);
      }
    }
    Tensor result = Tensor.zeros(base.device(), out, base.rows(), base.cols());
    try {
      LoraKernels.merge(base, adapters.get(0), result);
      return result;
    } catch (RuntimeException failure) {
      result.close();
      throw failure;
    }
  }

  /** base + adapters, quantised as the base is. */
  Nf4Tensor quantizedInto(Nf4Tensor base) {
    if (adapters.size() > 1) {
      try (Tensor sum = changed(base, adapters, false)) {
        return LoraKernels.quantize(sum, base.format());
      }
    }
    return LoraKernels.mergeQuantized(base, adapters.get(0));
  }

  /** x * (base + adapters)ᵀ with the adapters beside the base, as they are in training. */
  Tensor outputs(Tensor x, Weight base) {
    Tensor y = LoraKernels.fusedForward(x, base, adapters.get(0));
    for (LoraAdapter adapter : adapters.subList(1, adapters.size())) {
      try (Tensor with = LoraKernels.fusedForward(x, base, adapter);
          Tensor without = LoraKernels.matmul(x, base)) {
        MergeKernels.combineLinear(List.of(y, with, without), new float[] {1, 1, -1}, y);
      } catch (RuntimeException failure) {
        y.close();
        throw failure;
      }
    }
    return y;
  }

  /**
   * The base with adapters added to it or taken out, in F32, to be closed.
   *
   * @param adapters stay the caller's
   */
  static Tensor changed(Weight base, List<LoraAdapter> adapters, boolean takeOut) {
    Tensor sum = LoraKernels.dequantize(base, DType.F32);
    try {
      for (LoraAdapter adapter : adapters) {
        if (takeOut) {
          LoraKernels.unmerge(sum, adapter, sum);
        } else {
          LoraKernels.merge(sum, adapter, sum);
        }
      }
      return sum;
    } catch (RuntimeException failure) {
      sum.close();
      throw failure;
    }
  }

  @Override
  public void close() {
    adapters.forEach(LoraAdapter::close);
  }
}
