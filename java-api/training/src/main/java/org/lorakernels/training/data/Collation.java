package org.lorakernels.training.data;

/** How sequences are laid into a batch. Attention never crosses sequences, whichever. */
public enum Collation {
  /** End to end, each as long as it is: nothing is computed for nothing. */
  RAGGED,
  /** Each padded to the longest of the batch. */
  PAD,
  /** Several to a row of the greatest length, so that all rows are about as long. */
  PACK
}
