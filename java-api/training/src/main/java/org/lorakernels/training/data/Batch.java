package org.lorakernels.training.data;

import java.util.Arrays;
import org.lorakernels.InvalidArgumentException;

/**
 * Token ids of several sequences, laid end to end, and what they are trained on.
 *
 * <p>Sequence {@code s} is the tokens {@code offsets[s]} to {@code offsets[s + 1] - 1}. Attention
 * never crosses sequences and positions start at 0 in each. The label of a token is the label
 * <em>at</em> its position, as in Hugging Face: the model shifts inside a sequence and scores its
 * logits at position {@code i - 1} against {@code labels[i]}, so the label at position 0 of a
 * sequence never counts. Padding is tokens at the end of a sequence whose label is {@link
 * #IGNORED}; causal attention keeps them from mattering.
 *
 * <p>Immutable: arrays are copied on the way in and on the way out, so take an array once, not once
 * per token.
 *
 * @param inputIds [tokens], ids of the vocabulary, 0 or above; a model checks the upper bound
 * @param labels [tokens], the id to be predicted at a position, or {@link #IGNORED}
 * @param weights [tokens], what the loss of each label is multiplied by, finite and not negative;
 *     null: 1 everywhere
 * @param offsets [sequences + 1], from 0, rising, to the number of tokens; no sequence is empty
 */
public record Batch(int[] inputIds, int[] labels, float[] weights, int[] offsets) {
  /** The label of a token that is not trained on. */
  public static final int IGNORED = -100;

  /**
   * Checks and copies.
   *
   * @throws InvalidArgumentException if lengths differ, an id is negative, a label is negative and
   *     not {@link #IGNORED}, a weight is negative or not finite, or the offsets do not rise from 0
   *     to the number of tokens
   */
  public Batch {
    inputIds = inputIds.clone();
    labels = labels.clone();
    weights = weights == null ? null : weights.clone();
    offsets = offsets.clone();
    int tokens = inputIds.length;
    sameLength("labels", labels.length, tokens);
    if (weights != null) {
      sameLength("weights", weights.length, tokens);
    }
    for (int i = 0; i < tokens; i++) {
      if (inputIds[i] < 0) {
        throw invalid("inputIds[" + i + "]", "a token id, 0 or above", inputIds[i]);
      }
      if (labels[i] < 0 && labels[i] != IGNORED) {
        throw invalid("labels[" + i + "]", "a token id or " + IGNORED + " (ignored)", labels[i]);
      }
      if (weights != null && !(weights[i] >= 0 && Float.isFinite(weights[i]))) {
        throw invalid("weights[" + i + "]", "finite and not negative", weights[i]);
      }
    }
    if (offsets.length == 0 || offsets[0] != 0 || offsets[offsets.length - 1] != tokens) {
      throw invalid("offsets", "from 0 to " + tokens + " (tokens)", Arrays.toString(offsets));
    }
    for (int s = 1; s < offsets.length; s++) {
      if (offsets[s] <= offsets[s - 1]) {
        throw invalid("offsets[" + s + "]", "more than " + offsets[s - 1], offsets[s]);
      }
    }
  }

  /** A copy of the token ids, [tokens]. */
  @Override
  public int[] inputIds() {
    return inputIds.clone();
  }

  /** A copy of the labels, [tokens]. */
  @Override
  public int[] labels() {
    return labels.clone();
  }

  /** A copy of the loss weights, [tokens]; null: 1 everywhere. */
  @Override
  public float[] weights() {
    return weights == null ? null : weights.clone();
  }

  /** A copy of the offsets, [sequences + 1]. */
  @Override
  public int[] offsets() {
    return offsets.clone();
  }

  /** The number of tokens of all sequences, padding included. */
  public int tokens() {
    return inputIds.length;
  }

  /** The number of sequences. */
  public int sequences() {
    return offsets.length - 1;
  }

  /**
   * The number of labels that count: not {@link #IGNORED}, and not at position 0 of a sequence,
   * where nothing comes before that could predict it. A weight of 0 does not change it.
   */
  public int labelledTokens() {
    int count = 0;
    for (int s = 0; s < sequences(); s++) {
      for (int i = offsets[s] + 1; i < offsets[s + 1]; i++) {
        count += labels[i] == IGNORED ? 0 : 1;
      }
    }
    return count;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Batch that
        && Arrays.equals(inputIds, that.inputIds)
        && Arrays.equals(labels, that.labels)
        && Arrays.equals(weights, that.weights)
        && Arrays.equals(offsets, that.offsets);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(inputIds) + Arrays.hashCode(offsets);
  }

  @Override
  public String toString() {
    return "Batch["
        + tokens()
        + " tokens in "
        + sequences()
        + " sequences, "
        + labelledTokens()
        + " labelled]";
  }

  private static void sameLength(String name, int length, int tokens) {
    if (length != tokens) {
      throw invalid(name, tokens + " long, as inputIds is", length);
    }
  }

  private static InvalidArgumentException invalid(String name, String expected, Object given) {
    return new InvalidArgumentException(
        "Batch: " + name + " must be " + expected + ", but is " + given);
  }
}
