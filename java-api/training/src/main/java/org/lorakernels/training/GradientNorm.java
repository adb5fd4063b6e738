package org.lorakernels.training;

import java.util.List;
import org.lorakernels.Parameter;
import org.lorakernels.TransformerKernels;

/**
 * The norm of all gradients together and what to scale them by, as {@code
 * torch.nn.utils.clip_grad_norm_} has it.
 *
 * @param value before clipping; NaN or infinite where a gradient is
 * @param sumsOfSquares of each parameter's gradient
 */
record GradientNorm(double value, double[] sumsOfSquares) {
  /** torch adds this to the norm, so that a norm at the limit is scaled by a hair less than 1. */
  private static final double EPSILON = 1e-6;

  static GradientNorm of(List<Parameter> parameters) {
    double[] sums =
        TransformerKernels.sumsOfSquares(parameters.stream().map(Parameter::gradient).toList());
    double total = 0;
    for (double sum : sums) {
      total += sum;
    }
    return new GradientNorm(Math.sqrt(total), sums);
  }

  /** The factor that brings the norm down to {@code limit}; 1 where it is lower, or limit is 0. */
  float clipping(double limit) {
    return limit == 0 ? 1f : (float) Math.min(1, limit / (value + EPSILON));
  }
}
