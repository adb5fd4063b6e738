package org.lorakernels.merge;

import java.util.Locale;

/**
 * What an adapter is added to. An adapter that was trained on a 4-bit model has learned to correct
 * the rounding of its weights: added to the original weights, it corrects errors that are not
 * there.
 */
public enum MergeBase {
  /** The weights as they were before quantisation. */
  ORIGINAL,
  /** The weights as they come out of 4 bits: what training on a 4-bit model saw. */
  DEQUANTIZED;

  /** {@code original} or {@code dequantized}. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
