package org.lorakernels.training;

import org.lorakernels.LoraKernelsException;

/**
 * A loss or a gradient that is not finite. The step was not applied: parameters are as the last
 * good step left them.
 */
public final class TrainingDivergedException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  private final long step;
  private final String tensor;

  TrainingDivergedException(long step, String tensor, String message) {
    super(message);
    this.step = step;
    this.tensor = tensor;
  }

  /** The step that failed, from 1. */
  public long step() {
    return step;
  }

  /** The first tensor that is not finite: a parameter's name, or {@code loss}. */
  public String tensor() {
    return tensor;
  }
}
