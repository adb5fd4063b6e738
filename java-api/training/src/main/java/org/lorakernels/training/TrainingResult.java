package org.lorakernels.training;

/**
 * How a run ended.
 *
 * @param steps steps of the optimiser that were taken in all, those before it was resumed included
 * @param loss mean of the steps' losses since the run was started or resumed; NaN where no step was
 *     taken
 * @param lastLoss loss of the last step; NaN where none was taken
 * @param evaluation the last evaluation; null where there was none
 * @param tokens tokens that went through the model since the run was started or resumed
 * @param seconds wall-clock time since then
 * @param complete false where {@link Trainer#stop} ended the run before its last step
 */
public record TrainingResult(
    long steps,
    double loss,
    double lastLoss,
    EvaluationMetrics evaluation,
    long tokens,
    double seconds,
    boolean complete) {
  /** Tokens of a second. */
  public double tokensPerSecond() {
    return tokens / seconds;
  }
}
