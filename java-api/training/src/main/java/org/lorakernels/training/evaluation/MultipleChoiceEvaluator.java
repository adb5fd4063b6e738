package org.lorakernels.training.evaluation;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.data.EncodedExample;
import org.lorakernels.training.data.Tokenizer;

/**
 * Multiple choice by log-likelihood: each choice is scored as a continuation of the context, and
 * the model's answer is the one of the greatest log-likelihood (accuracy), or of the greatest one
 * for its length (normalised accuracy), the first of equals. A question whose context is empty is a
 * minimal pair: there the right sentence must be more probable than every other, and a tie is an
 * error.
 *
 * <pre>{@code
 * MultipleChoiceResult result =
 *     new MultipleChoiceEvaluator(model::tokenLosses, tokenizer, 2048)
 *         .evaluate(QuestionReader.read(Path.of("arc_easy.jsonl"), null, Integer.MAX_VALUE));
 * result.normalizedAccuracy();
 * }</pre>
 *
 * <p>How text becomes tokens: {@link ChoiceEncoder}, in short {@code encode(context + delimiter +
 * choice)} with the tokens of {@code encode(context)} not scored.
 */
public final class MultipleChoiceEvaluator {
  private final TokenScorer model;
  private final Tokenizer tokenizer;
  private final int maxLength;
  private int batchSize = 8;
  private Normalization normalization = Normalization.TOKENS;
  private EvaluationListener listener = EvaluationListener.NONE;

  /**
   * An evaluator with batches of 8 sequences and normalisation by tokens.
   *
   * @param model scores tokens
   * @param tokenizer the model's
   * @param maxLength the most tokens of a sequence, 2 or more: the model's context
   */
  public MultipleChoiceEvaluator(TokenScorer model, Tokenizer tokenizer, int maxLength) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.maxLength = LossEvaluator.checkAtLeast("maxLength", maxLength, 2);
  }

  /** Sets how many sequences (choices) go through the model together; 1 or more. */
  public MultipleChoiceEvaluator batchSize(int sequences) {
    this.batchSize = LossEvaluator.checkAtLeast("batchSize", sequences, 1);
    return this;
  }

  /** Sets what log-likelihoods are divided by for the normalised accuracy. */
  public MultipleChoiceEvaluator normalization(Normalization by) {
    this.normalization = by;
    return this;
  }

  /** Sets who follows the progress. */
  public MultipleChoiceEvaluator listener(EvaluationListener newListener) {
    this.listener = newListener;
    return this;
  }

  /**
   * Asks.
   *
   * @param questions one or more
   * @return the answers
   * @throws InvalidArgumentException naming the question, if a choice has no tokens of its own;
   *     before anything is scored
   */
  public MultipleChoiceResult evaluate(List<Question> questions) {
    ChoiceEncoder encoder = new ChoiceEncoder(tokenizer, maxLength);
    List<EncodedExample> sequences = new ArrayList<>();
    List<Integer> firstTokens = new ArrayList<>();
    for (int q = 0; q < questions.size(); q++) {
      try {
        for (ChoiceEncoder.Choice choice : encoder.encode(questions.get(q))) {
          sequences.add(choice.scored());
          firstTokens.add(choice.from());
        }
      } catch (InvalidArgumentException e) {
        throw new InvalidArgumentException("question " + (q + 1) + ": " + e.getMessage());
      }
    }
    double[] logLikelihoods = new double[sequences.size()];
    new SequenceScorer(model, batchSize, listener)
        .score(
            sequences,
            (s, losses, offset) -> {
              for (int i = firstTokens.get(s); i < sequences.get(s).length(); i++) {
                logLikelihoods[s] -= losses[offset + i];
              }
            });
    List<MultipleChoiceResult.Answer> answers = new ArrayList<>();
    int s = 0;
    for (Question question : questions) {
      int choices = question.choices().size();
      double[] sums = new double[choices];
      double[] normalized = new double[choices];
      for (int c = 0; c < choices; c++, s++) {
        int tokens = sequences.get(s).length() - firstTokens.get(s);
        sums[c] = logLikelihoods[s];
        normalized[c] = sums[c] / normalization.length(question.choices().get(c), tokens);
      }
      answers.add(
          new MultipleChoiceResult.Answer(
              sums, normalized, correct(question, sums), correct(question, normalized)));
    }
    return new MultipleChoiceResult(answers, encoder.truncated(), normalization);
  }

  private static boolean correct(Question question, double[] scores) {
    int gold = question.gold();
    boolean minimalPair = question.context().isEmpty();
    for (int c = 0; c < scores.length; c++) {
      boolean wonTie = scores[gold] == scores[c] && !minimalPair && gold < c;
      if (c != gold && !(scores[gold] > scores[c]) && !wonTie) {
        return false;
      }
    }
    return true;
  }
}
