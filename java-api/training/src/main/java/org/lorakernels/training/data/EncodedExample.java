package org.lorakernels.training.data;

/**
 * One sequence of tokens. The arrays are not copied; nobody changes them.
 *
 * @param inputIds [tokens]
 * @param labels [tokens], {@link Batch#IGNORED} where not trained on
 * @param weights [tokens], loss weights; null: 1 everywhere
 */
public record EncodedExample(int[] inputIds, int[] labels, float[] weights) {
  /** The number of tokens. */
  public int length() {
    return inputIds.length;
  }

  /** The number of labels that count; see {@link Batch#labelledTokens()}. */
  public int labelledTokens() {
    int count = 0;
    for (int i = 1; i < labels.length; i++) {
      count += labels[i] == Batch.IGNORED ? 0 : 1;
    }
    return count;
  }
}
