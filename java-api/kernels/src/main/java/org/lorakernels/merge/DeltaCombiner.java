package org.lorakernels.merge;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraKernels;
import org.lorakernels.MergeKernels;
import org.lorakernels.Tensor;
import org.lorakernels.TruncatedSvd;
import org.lorakernels.merge.CombineMethod.Dropping;

/** Combines adapters of one module by their deltas and cuts the result to a rank by SVD. */
final class DeltaCombiner {
  private DeltaCombiner() {}

  /**
   * Combines.
   *
   * @param a [rank, K], to be written
   * @param b [N, rank], to be written
   */
  static void combine(
      String module,
      List<LoraAdapter> loras,
      float[] weights,
      CombineConfig config,
      Tensor a,
      Tensor b) {
    int rank = (int) a.rows();
    try (TruncatedSvd svd = decompose(module, loras, weights, config, rank)) {
      a.copyFrom(svd.vt());
      scaleColumns(svd.u(), svd.singularValues(), b);
    }
  }

  private static TruncatedSvd decompose(
      String module, List<LoraAdapter> loras, float[] weights, CombineConfig config, int rank) {
    long ranks = loras.stream().mapToLong(LoraAdapter::rank).sum();
    LoraAdapter first = loras.get(0);
    boolean plainSum =
        config.method().dropping() == Dropping.NOTHING && !config.method().electsSign();
    if (plainSum && ranks <= Math.min(first.rows(), first.cols())) {
      return decomposeSum(loras, weights, ranks, rank);
    }
    List<Tensor> deltas = new ArrayList<>();
    try (Tensor sum = Tensor.zeros(first.device(), DType.F32, first.rows(), first.cols())) {
      for (LoraAdapter lora : loras) {
        deltas.add(delta(lora));
      }
      new TensorCombiner(config)
          .combine(module, CombineMasks.Part.DELTA, deltas, weights, true, sum);
      deltas.forEach(Tensor::close);
      return TruncatedSvd.of(sum, rank, config.svd());
    } finally {
      deltas.forEach(Tensor::close);
    }
  }

  /** The weighted sum is a product of what stands side by side: it need not be made. */
  private static TruncatedSvd decomposeSum(
      List<LoraAdapter> loras, float[] weights, long ranks, int rank) {
    Device device = loras.get(0).device();
    try (Tensor left = Tensor.zeros(device, DType.F32, loras.get(0).rows(), ranks);
        Tensor right = Tensor.zeros(device, DType.F32, ranks, loras.get(0).cols())) {
      long from = 0;
      for (int i = 0; i < weights.length; i++) {
        LoraAdapter lora = loras.get(i);
        long to = from + lora.rank();
        try (Tensor columns = left.columns(from, to);
            Tensor rows = right.slice(from, to)) {
          columns.copyFrom(lora.b());
          MergeKernels.combineLinear(
              List.of(lora.a()), new float[] {weights[i] * lora.scaling()}, rows);
        }
        from = to;
      }
      return TruncatedSvd.ofProduct(left, right, rank);
    }
  }

  /** scaling * B * A in F32. */
  static Tensor delta(LoraAdapter lora) {
    Tensor delta = Tensor.zeros(lora.device(), DType.F32, lora.rows(), lora.cols());
    LoraKernels.merge(delta, lora, delta);
    return delta;
  }

  private static void scaleColumns(Tensor u, float[] scales, Tensor b) {
    float[] values = u.toFloatArray();
    for (int i = 0; i < values.length; i++) {
      values[i] *= scales[i % scales.length];
    }
    b.copyFrom(values);
  }
}
