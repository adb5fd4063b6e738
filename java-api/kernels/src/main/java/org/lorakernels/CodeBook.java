package org.lorakernels;

/** The 16 values that the 4-bit codes of a weight stand for; both formats share one layout. */
public enum CodeBook {
  /**
   * Normal float: the quantiles of a normal distribution (Dettmers et al. 2023, arXiv:2305.14314).
   */
  NF4("nf4"),
  /** Four-bit floating point: sign, two bits of exponent, one of mantissa. */
  FP4("fp4");

  private final String quantType;

  CodeBook(String quantType) {
    this.quantType = quantType;
  }

  /** The name in checkpoints: {@code "nf4"} or {@code "fp4"}. */
  public String quantType() {
    return quantType;
  }
}
