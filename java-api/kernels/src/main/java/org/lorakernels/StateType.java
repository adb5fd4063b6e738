package org.lorakernels;

/**
 * How an optimiser stores its two moments: two values of this kind for every parameter element. In
 * the order of {@code lk_state_format}.
 */
public enum StateType {
  /** 8 bytes for every element. */
  F32,
  /**
   * 4 bytes for every element. Moments are rounded to nearest, so that a second moment changes in
   * steps of 1/256 of itself at least: with beta2 near 1 it follows small gradients late, as
   * torch's does.
   */
  BF16,
  /**
   * 2 bytes for every element, and 8 for every block of 256: bitsandbytes' blockwise format
   * (Dettmers et al. 2021, arXiv:2110.02861).
   */
  EIGHT_BIT
}
