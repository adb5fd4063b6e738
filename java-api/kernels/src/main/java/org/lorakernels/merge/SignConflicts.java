package org.lorakernels.merge;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.LoraAdapter;
import org.lorakernels.MergeKernels;
import org.lorakernels.MergeKernels.OpposingSigns;
import org.lorakernels.Tensor;

/** How much adapters of one module oppose one another, element by element of their deltas. */
public final class SignConflicts {
  /** Elements of a delta that are made at once. */
  private static final long SLICE_ELEMENTS = 1L << 24;

  private SignConflicts() {}

  /**
   * Counts the elements of the weighted deltas that are positive in one adapter and negative in
   * another; holds a slice of rows at a time.
   *
   * @param loras of one module, at least one
   * @param weights one for each
   */
  public static OpposingSigns count(List<LoraAdapter> loras, float[] weights) {
    LoraAdapter first = loras.get(0);
    long rows = Math.max(1, SLICE_ELEMENTS / Math.max(1, first.cols()));
    OpposingSigns total = new OpposingSigns(0, 0);
    for (long from = 0; from < first.rows(); from += rows) {
      total = total.plus(countRows(loras, weights, from, Math.min(first.rows(), from + rows)));
    }
    return total;
  }

  private static OpposingSigns countRows(
      List<LoraAdapter> loras, float[] weights, long from, long to) {
    List<Tensor> deltas = new ArrayList<>();
    try {
      for (LoraAdapter lora : loras) {
        try (LoraAdapter slice =
            LoraAdapter.of(
                lora.config(), lora.a().slice(0, lora.rank()), lora.b().slice(from, to))) {
          deltas.add(DeltaCombiner.delta(slice));
        }
      }
      return MergeKernels.opposingSigns(deltas, weights);
    } finally {
      deltas.forEach(Tensor::close);
    }
  }
}
