package org.lorakernels.training.evaluation;

import java.util.List;

/**
 * How often a model preferred the right choice.
 *
 * @param answers one for each question, in order
 * @param truncated sequences that were too long: they lost the beginning of their context, and
 *     where that was not enough the end of the choice
 * @param normalization what log-likelihoods were divided by for the normalised accuracy
 */
public record MultipleChoiceResult(
    List<Answer> answers, int truncated, Normalization normalization) {
  /** Copies. */
  public MultipleChoiceResult {
    answers = List.copyOf(answers);
  }

  /**
   * What the model made of a question.
   *
   * @param logLikelihoods [choices], sum of {@code log p} of the tokens of each choice; the
   *     caller's
   * @param normalized [choices], the same divided by the length; the caller's
   * @param correct whether the greatest log-likelihood is that of the right choice
   * @param correctNormalized whether the greatest normalised one is
   */
  public record Answer(
      double[] logLikelihoods, double[] normalized, boolean correct, boolean correctNormalized) {}

  /** Share of questions whose right choice has the greatest log-likelihood. */
  public double accuracy() {
    return share(answers.stream().filter(Answer::correct).count());
  }

  /** Share of questions whose right choice has the greatest log-likelihood for its length. */
  public double normalizedAccuracy() {
    return share(answers.stream().filter(Answer::correctNormalized).count());
  }

  /** Standard error of {@link #accuracy()}. */
  public double standardError() {
    return standardError(accuracy());
  }

  /** Standard error of {@link #normalizedAccuracy()}. */
  public double normalizedStandardError() {
    return standardError(normalizedAccuracy());
  }

  private double share(long correct) {
    return (double) correct / answers.size();
  }

  /** Of the mean of n zeros and ones: sqrt(p (1 - p) / (n - 1)); NaN for one question. */
  private double standardError(double share) {
    return Math.sqrt(share * (1 - share) / (answers.size() - 1));
  }
}
