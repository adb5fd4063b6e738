package org.lorakernels.training;

/**
 * What an evaluation during training measured.
 *
 * @param step steps taken before it
 * @param loss mean loss of the labelled tokens
 * @param labelledTokens tokens that the loss is the mean of
 * @param seconds wall-clock time
 */
public record EvaluationMetrics(long step, double loss, long labelledTokens, double seconds) {
  /** e to the power of the loss. */
  public double perplexity() {
    return Math.exp(loss);
  }
}
