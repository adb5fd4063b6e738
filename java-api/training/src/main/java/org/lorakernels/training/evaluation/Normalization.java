package org.lorakernels.training.evaluation;

import java.nio.charset.StandardCharsets;

/**
 * What the log-likelihood of a choice is divided by before choices are compared, so that long ones
 * do not lose by their length alone.
 */
public enum Normalization {
  /** The tokens of the choice, the delimiter's included. */
  TOKENS,
  /**
   * The characters (code points) of the choice without delimiter: acc_norm of
   * lm-evaluation-harness.
   */
  CHARACTERS,
  /** The bytes of UTF-8 of the choice without delimiter. */
  BYTES;

  double length(String choice, int tokens) {
    return switch (this) {
      case TOKENS -> tokens;
      case CHARACTERS -> choice.codePointCount(0, choice.length());
      case BYTES -> choice.getBytes(StandardCharsets.UTF_8).length;
    };
  }
}
