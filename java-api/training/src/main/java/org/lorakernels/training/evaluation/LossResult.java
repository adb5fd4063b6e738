package org.lorakernels.training.evaluation;

/**
 * The loss of a model over data.
 *
 * @param loss mean of {@code -log p} over the labelled tokens of all rows together, natural
 *     logarithm; weighted where the data has weights
 * @param tokens labelled tokens of a weight above 0
 * @param rows rows of the data
 * @param truncatedRows rows that were cut because they are longer than a sequence may be
 * @param droppedTokens labelled tokens that were lost so
 */
public record LossResult(
    double loss, long tokens, int rows, int truncatedRows, long droppedTokens) {
  /** e to the power of the loss; infinite where a double cannot hold it. */
  public double perplexity() {
    return Math.exp(loss);
  }
}
