package org.lorakernels.training.generation;

import java.util.Arrays;
import java.util.BitSet;
import org.lorakernels.LoraKernelsException;

/**
 * Chooses tokens, in double precision. One sampler makes the draws of one continuation: the n-th
 * call uses the n-th number of the seed.
 */
public final class Sampler {
  private final Sampling sampling;
  private long draws;

  /** A sampler at the beginning of a continuation. */
  public Sampler(Sampling sampling) {
    this.sampling = sampling;
  }

  /**
   * Chooses the next token.
   *
   * @param logits [vocabulary], the model's scores; negative infinity excludes a token
   * @param occurred ids that the prompt or the continuation holds, for the repetition penalty; may
   *     be null where there is none
   * @return its id
   * @throws LoraKernelsException if a score is NaN or positive infinity, or every token is excluded
   */
  public int next(float[] logits, BitSet occurred) {
    double[] scores = scores(logits, occurred);
    long draw = draws++;
    int best = 0;
    for (int id = 1; id < scores.length; id++) {
      best = scores[id] > scores[best] ? id : best;
    }
    if (scores.length == 0 || scores[best] == Double.NEGATIVE_INFINITY) {
      throw new LoraKernelsException(
          "generate: every one of " + scores.length + " tokens is excluded; nothing can be chosen");
    }
    if (sampling.temperature() == 0) {
      return best;
    }
    double[] weights = new double[scores.length];
    for (int id = 0; id < weights.length; id++) {
      weights[id] = Math.exp((scores[id] - scores[best]) / sampling.temperature());
    }
    if (sampling.topK() > 0 && sampling.topK() < weights.length) {
      weights = mostProbable(weights, sampling.topK());
    }
    if (sampling.topP() < 1) {
      weights = nucleus(weights, sampling.topP());
    }
    return draw(weights, sampling.minP(), Philox.uniform(sampling.seed(), draw));
  }

  private double[] scores(float[] logits, BitSet occurred) {
    double[] scores = new double[logits.length];
    for (int id = 0; id < logits.length; id++) {
      if (Float.isNaN(logits[id]) || logits[id] == Float.POSITIVE_INFINITY) {
        throw new LoraKernelsException(
            "generate: the score of token "
                + id
                + " is "
                + logits[id]
                + " at draw "
                + draws
                + ", expected a number; the weights are damaged, or the compute dtype overflows"
                + " (try F32)");
      }
      scores[id] = logits[id];
    }
    double penalty = sampling.repetitionPenalty();
    if (penalty != 1 && occurred != null) {
      occurred.stream()
          .filter(id -> id < scores.length)
          .forEach(id -> scores[id] *= scores[id] < 0 ? penalty : 1 / penalty);
    }
    return scores;
  }

  /** The k greatest weights in their places, 0 elsewhere. */
  private static double[] mostProbable(double[] weights, int k) {
    Ranking ranking = new Ranking(weights);
    double[] kept = new double[weights.length];
    for (int i = 0; i < k; i++) {
      int id = ranking.next();
      kept[id] = weights[id];
    }
    return kept;
  }

  /** The fewest greatest weights that hold the share p of all, in their places, 0 elsewhere. */
  private static double[] nucleus(double[] weights, double p) {
    Ranking ranking = new Ranking(weights);
    double enough = p * Arrays.stream(weights).sum();
    double[] kept = new double[weights.length];
    double sum = 0;
    for (int i = 0; i < weights.length && sum < enough; i++) {
      int id = ranking.next();
      kept[id] = weights[id];
      sum += weights[id];
    }
    return kept;
  }

  /**
   * The inverse of the cumulative distribution, in the order of ids.
   *
   * @param weights the greatest is 1
   * @param least weights below it do not count
   * @param uniform in [0, 1)
   */
  private static int draw(double[] weights, double least, double uniform) {
    double total = 0;
    for (double weight : weights) {
      total += weight >= least ? weight : 0;
    }
    double left = uniform * total;
    int chosen = -1;
    for (int id = 0; id < weights.length && left >= 0; id++) {
      if (weights[id] > 0 && weights[id] >= least) {
        chosen = id;
        left -= weights[id];
      }
    }
    return chosen;
  }
}
