package org.lorakernels.training.evaluation;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.data.EncodedExample;

/**
 * Loss and perplexity over data: the mean of {@code -log p} over the labelled tokens of all rows
 * together (sums in double precision), not the mean of the means of batches.
 *
 * <pre>{@code
 * LossResult result =
 *     new LossEvaluator(model::tokenLosses, (int) model.config().maxPositions())
 *         .evaluate(rows);                          // ExampleEncoder.encode of each example
 * System.out.println(result.loss() + " " + result.perplexity());
 * }</pre>
 */
public final class LossEvaluator {
  private final TokenScorer model;
  private final int maxLength;
  private int stride;
  private Integer bosId;
  private int batchSize = 8;
  private EvaluationListener listener = EvaluationListener.NONE;

  /**
   * An evaluator with batches of 8 sequences that cuts longer rows.
   *
   * @param model scores tokens
   * @param maxLength the most tokens of a sequence, 2 or more: the model's context
   */
  public LossEvaluator(TokenScorer model, int maxLength) {
    this.model = model;
    this.maxLength = checkAtLeast("maxLength", maxLength, 2);
  }

  /** Sets how many sequences go through the model together; 1 or more. */
  public LossEvaluator batchSize(int sequences) {
    this.batchSize = checkAtLeast("batchSize", sequences, 1);
    return this;
  }

  /**
   * Sees longer rows through windows instead of cutting them; every token is scored once, in the
   * first window that holds it.
   *
   * @param tokens from one window to the next: 1 (the most context, the most work) to maxLength - 1
   * @param beginning the id of BOS, which is repeated at the beginning of every window of a row
   *     that begins with it; null: nothing is repeated
   */
  public LossEvaluator windows(int tokens, Integer beginning) {
    this.stride = checkAtLeast("stride", tokens, 1);
    if (tokens >= maxLength) {
      throw new InvalidArgumentException(
          "evaluate: stride must be less than the length of a sequence, "
              + maxLength
              + ", but is "
              + tokens);
    }
    this.bosId = beginning;
    return this;
  }

  /** Sets who follows the progress. */
  public LossEvaluator listener(EvaluationListener newListener) {
    this.listener = newListener;
    return this;
  }

  static int checkAtLeast(String name, int value, int least) {
    if (value < least) {
      throw new InvalidArgumentException(
          "evaluate: " + name + " must be " + least + " or more, but is " + value);
    }
    return value;
  }

  /**
   * Evaluates.
   *
   * @param rows sequences of any length, each with its labels and weights
   * @return the loss over all of them
   * @throws InvalidArgumentException if there is no labelled token in them
   * @throws LoraKernelsException if a loss is not a number
   */
  public LossResult evaluate(List<EncodedExample> rows) {
    LongRows longRows = new LongRows(maxLength, stride, bosId);
    List<EncodedExample> sequences = new ArrayList<>();
    rows.forEach(row -> sequences.addAll(longRows.fit(row)));
    Sums sums = new Sums();
    new SequenceScorer(model, batchSize, listener)
        .score(sequences, (s, losses, offset) -> sums.add(sequences.get(s), losses, offset));
    if (sums.tokens == 0) {
      throw new InvalidArgumentException(
          "evaluate: there is no labelled token in "
              + rows.size()
              + " rows; a row needs two tokens at least, and labels that are not "
              + Batch.IGNORED);
    }
    return new LossResult(
        sums.losses / sums.weights,
        sums.tokens,
        rows.size(),
        longRows.truncatedRows(),
        longRows.droppedTokens());
  }

  /** Of labelled tokens. */
  private static final class Sums {
    private double losses;
    private double weights;
    private long tokens;

    void add(EncodedExample sequence, float[] values, int offset) {
      for (int i = 1; i < sequence.length(); i++) {
        double weight = LongRows.weight(sequence, i);
        if (weight > 0) {
          losses += weight * values[offset + i];
          weights += weight;
          tokens++;
        }
      }
    }
  }
}
