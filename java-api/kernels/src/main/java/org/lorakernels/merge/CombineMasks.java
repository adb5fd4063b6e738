package org.lorakernels.merge;

import org.lorakernels.Tensor;

/**
 * Masks of DARE that the caller gives, instead of those of the counter-based generator: to
 * reproduce what another library drew.
 */
@FunctionalInterface
public interface CombineMasks {
  /** What a mask is for. */
  enum Part {
    /** A [rank, K] of an adapter. */
    A,
    /** B [N, rank] of an adapter. */
    B,
    /** A whole delta [N, K]. */
    DELTA
  }

  /**
   * The mask of one tensor.
   *
   * @param module the module's name, {@code model.layers.0.self_attn.q_proj}
   * @param part which tensor
   * @param index of the adapter among those that have the module, from 0
   * @return U8 of the tensor's shape, 1 where an element is kept; stays the caller's
   */
  Tensor mask(String module, Part part, int index);
}
