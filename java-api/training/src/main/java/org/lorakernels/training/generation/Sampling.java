package org.lorakernels.training.generation;

import org.lorakernels.InvalidArgumentException;

/**
 * How the next token is chosen from the scores of the vocabulary. The steps, in the order and with
 * the meaning that transformers gives them:
 *
 * <ol>
 *   <li>repetition penalty p (Keskar et al. 2019, arXiv:1909.05858): the score of every token that
 *       the prompt or the continuation holds already is divided by p where it is positive and
 *       multiplied by p where it is negative;
 *   <li>temperature T: scores are divided by T; 0 takes the token of the highest score and ends
 *       here;
 *   <li>top-k: only the k most probable tokens stay;
 *   <li>top-p (Holtzman et al. 2020, arXiv:1904.09751): of what is left, the fewest most probable
 *       tokens whose probabilities sum to p or more stay;
 *   <li>min-p (Nguyen et al. 2024, arXiv:2407.01082): tokens less probable than p times the most
 *       probable one go;
 *   <li>one of the rest is drawn in proportion to its probability.
 * </ol>
 *
 * <p>Of equal scores the token of the lowest id comes first. (transformers keeps all tokens that
 * tie with the k-th.) The same seed gives the same draws on every machine; see {@link Philox}.
 *
 * <p>Immutable; start from {@link #greedy()} or {@link #temperature(double, long)}.
 *
 * @param temperature 0 (greedy) or above
 * @param topK how many tokens stay; 0: all
 * @param topP in (0, 1]; 1: all
 * @param minP in [0, 1]; 0: all
 * @param repetitionPenalty above 0; 1: none
 * @param seed of the draws
 */
public record Sampling(
    double temperature, int topK, double topP, double minP, double repetitionPenalty, long seed) {
  private static final Sampling GREEDY = new Sampling(0, 0, 1, 0, 1, 0);

  /**
   * Checks.
   *
   * @throws InvalidArgumentException if a value is out of its range
   */
  public Sampling {
    check("temperature", temperature, temperature >= 0, "finite and 0 or above");
    check("top-k", topK, topK >= 0, "0 (all) or above");
    check("top-p", topP, topP > 0 && topP <= 1, "in (0, 1]");
    check("min-p", minP, minP >= 0 && minP <= 1, "in [0, 1]");
    check("repetition penalty", repetitionPenalty, repetitionPenalty > 0, "finite and above 0");
  }

  private static void check(String name, double value, boolean valid, String expected) {
    if (!valid || !Double.isFinite(value)) {
      throw new InvalidArgumentException(
          "Sampling: " + name + " must be " + expected + ", but is " + value);
    }
  }

  /** The most probable token, always. */
  public static Sampling greedy() {
    return GREEDY;
  }

  /**
   * Draws from the whole vocabulary.
   *
   * @param temperature above 0; 1 leaves the model's own distribution
   * @param seed the same seed, the same draws
   */
  public static Sampling temperature(double temperature, long seed) {
    return new Sampling(temperature, 0, 1, 0, 1, seed);
  }

  /** The same with only the k most probable tokens; 0: all. */
  public Sampling topK(int k) {
    return new Sampling(temperature, k, topP, minP, repetitionPenalty, seed);
  }

  /** The same with the fewest most probable tokens that hold the share p, in (0, 1]; 1: all. */
  public Sampling topP(double p) {
    return new Sampling(temperature, topK, p, minP, repetitionPenalty, seed);
  }

  /** The same without tokens below p times the most probable one, in [0, 1]; 0: all. */
  public Sampling minP(double p) {
    return new Sampling(temperature, topK, topP, p, repetitionPenalty, seed);
  }

  /** The same with another penalty for tokens that occurred, above 0; 1: none. */
  public Sampling repetitionPenalty(double penalty) {
    return new Sampling(temperature, topK, topP, minP, penalty, seed);
  }
}
