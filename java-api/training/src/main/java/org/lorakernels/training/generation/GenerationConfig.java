package org.lorakernels.training.generation;

import java.util.List;
import java.util.Set;
import org.lorakernels.InvalidArgumentException;

/**
 * How a text is continued and when that ends. Immutable; start from {@link #greedy()} or {@link
 * #of(Sampling)}:
 *
 * <pre>{@code
 * GenerationConfig.of(Sampling.temperature(0.8, 42).topP(0.95)).maxNewTokens(200).stopStrings("\n\n")
 * }</pre>
 *
 * @param sampling how a token is chosen
 * @param maxNewTokens the most tokens to add, 1 or more
 * @param stopStrings the text ends before the first of them; none of them is empty
 * @param endIds ids that end the continuation; null: those of the model
 */
public record GenerationConfig(
    Sampling sampling, int maxNewTokens, List<String> stopStrings, Set<Integer> endIds) {
  /** The most tokens to add unless said otherwise. */
  public static final int DEFAULT_MAX_NEW_TOKENS = 128;

  /**
   * Checks and copies.
   *
   * @throws InvalidArgumentException if a value is out of its range
   */
  public GenerationConfig {
    if (maxNewTokens < 1) {
      throw new InvalidArgumentException(
          "GenerationConfig: maxNewTokens must be 1 or more, but is " + maxNewTokens);
    }
    stopStrings = List.copyOf(stopStrings);
    if (stopStrings.contains("")) {
      throw new InvalidArgumentException(
          "GenerationConfig: stop strings must not be empty, but one is; it would end every text");
    }
    endIds = endIds == null ? null : Set.copyOf(endIds);
  }

  /** The most probable token, {@value #DEFAULT_MAX_NEW_TOKENS} times at the most. */
  public static GenerationConfig greedy() {
    return of(Sampling.greedy());
  }

  /** Tokens chosen so, {@value #DEFAULT_MAX_NEW_TOKENS} at the most. */
  public static GenerationConfig of(Sampling sampling) {
    return new GenerationConfig(sampling, DEFAULT_MAX_NEW_TOKENS, List.of(), null);
  }

  /** The same with another greatest number of new tokens, 1 or more. */
  public GenerationConfig maxNewTokens(int count) {
    return new GenerationConfig(sampling, count, stopStrings, endIds);
  }

  /** The same with strings before the first of which the text ends. */
  public GenerationConfig stopStrings(String... strings) {
    return new GenerationConfig(sampling, maxNewTokens, List.of(strings), endIds);
  }

  /** The same with other ids that end the continuation; an empty set: none does. */
  public GenerationConfig endIds(Set<Integer> ids) {
    return new GenerationConfig(sampling, maxNewTokens, stopStrings, ids);
  }
}
