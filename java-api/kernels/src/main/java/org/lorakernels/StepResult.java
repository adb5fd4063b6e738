package org.lorakernels;

/**
 * What a step did.
 *
 * @param skipped whether nothing was updated, since a gradient was not finite
 * @param gradientNorm 2-norm of all gradients together, times the step's gradient scale, before
 *     clipping; NaN or infinite where a gradient is
 * @param gradientScale what gradients were multiplied by, clipping included
 * @param nonFinite name of the first parameter with a gradient that is not finite; null: none
 */
public record StepResult(
    boolean skipped, double gradientNorm, double gradientScale, String nonFinite) {}
