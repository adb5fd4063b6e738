package org.lorakernels.merge;

import java.util.List;
import org.lorakernels.ClosedException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;

/**
 * A weight with adapters merged into it, which can be taken out again. Dense weights stay dense in
 * their dtype; 4-bit weights are dequantised, added to and quantised again. Owns what it makes; the
 * base and the adapters stay the caller's.
 *
 * <p>What an adapter is added to is the weight that is given: of a 4-bit weight what comes out of 4
 * bits, which is what training on it saw; to merge onto the original instead, give the dense weight
 * that was quantised.
 */
public final class MergedWeight implements AutoCloseable {
  private final List<LoraAdapter> adapters;
  private final Weight original; // null: not kept
  private Weight weight;

  private MergedWeight(List<LoraAdapter> adapters, Weight original, Weight weight) {
    this.adapters = adapters;
    this.original = original;
    this.weight = weight;
  }

  /**
   * Merges.
   *
   * @param base [N, K], dense or in 4 bits; not changed
   * @param adapters of weights [N, K], at least one; their sum is added in F32 and rounded once.
   *     They stay open until {@link #unmerge}, unless the original is kept
   * @param keepOriginal whether {@link #unmerge} shall restore the base to the bit, for the memory
   *     of a copy
   */
  public static MergedWeight merge(Weight base, List<LoraAdapter> adapters, boolean keepOriginal) {
    if (adapters.isEmpty()) {
      throw new InvalidArgumentException("merge: needs at least one adapter, but there is none");
    }
    Weight original = keepOriginal ? copy(base) : null;
    try {
      return new MergedWeight(List.copyOf(adapters), original, changed(base, adapters, false));
    } catch (RuntimeException failure) {
      if (original != null) {
        original.close();
      }
      throw failure;
    }
  }

  /** The merged weight, dense or in 4 bits as the base; owned by this object. */
  public Weight weight() {
    if (weight == null) {
      throw new ClosedException("merge: the adapters were taken out, or the weight was closed");
    }
    return weight;
  }

  /**
   * Takes the adapters out again; ends the merged weight.
   *
   * @return the base, to be closed by the caller: to the bit where it was kept; otherwise a dense
   *     weight within one rounding of the merged weight, and a 4-bit weight within that and another
   *     quantisation
   */
  public Weight unmerge() {
    Weight merged = weight();
    Weight result = original != null ? original : changed(merged, adapters, true);
    weight = null;
    merged.close();
    return result;
  }

  private static Weight changed(Weight base, List<LoraAdapter> adapters, boolean takeOut) {
    if (adapters.size() == 1) {
      return changed(base, adapters.get(0), takeOut);
    }
    try (Tensor sum = AdapterSum.changed(base, adapters, takeOut)) {
      return base instanceof Nf4Tensor quantized
          ? LoraKernels.quantize(sum, quantized.format())
          : sum.to(base.sourceDtype());
    }
  }

  private static Weight changed(Weight base, LoraAdapter adapter, boolean takeOut) {
    if (base instanceof Nf4Tensor quantized) {
      return takeOut
          ? LoraKernels.unmergeQuantized(quantized, adapter)
          : LoraKernels.mergeQuantized(quantized, adapter);
    }
    return takeOut ? LoraKernels.unmerge(base, adapter) : LoraKernels.merge(base, adapter);
  }

  private static Weight copy(Weight base) {
    if (base instanceof Tensor dense) {
      return dense.copy();
    }
    Nf4Tensor from = (Nf4Tensor) base;
    return Nf4Tensor.of(
        from.format(),
        from.sourceDtype(),
        from.shape(),
        bytes(from.packed()),
        bytes(from.absmax()),
        from.nestedAbsmax() == null ? null : from.nestedAbsmax().copy(),
        from.nestedCode() == null ? null : from.nestedCode().copy(),
        from.nestedOffset());
  }

  /** A copy of a tensor of any dtype. */
  private static Tensor bytes(Tensor from) {
    Tensor copy = Tensor.zeros(from.device(), from.dtype(), from.shape());
    copy.copyFrom(from);
    return copy;
  }

  /** Closes the merged weight and the kept original; may be called again. */
  @Override
  public void close() {
    if (weight != null) {
      weight.close();
      weight = null;
      if (original != null) {
        original.close();
      }
    }
  }
}
