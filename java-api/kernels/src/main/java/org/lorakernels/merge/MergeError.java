package org.lorakernels.merge;

/**
 * How far a merged weight is from base + adapter on random inputs: |y - reference| / |reference|,
 * with y = x Wᵀ and the reference x Wᵀ + x (B A)ᵀ of the same weight before the merge.
 *
 * @param weight its name
 * @param base what was added to
 * @param requantized whether the result was quantised again
 * @param againstOriginal reference with the original weight; NaN where there is none
 * @param againstDequantized reference with the dequantised weight: what training on a 4-bit model
 *     saw
 */
public record MergeError(
    String weight,
    MergeBase base,
    boolean requantized,
    double againstOriginal,
    double againstDequantized) {}
