package org.lorakernels.training.evaluation;

import java.util.Arrays;
import java.util.List;
import org.lorakernels.training.data.Batch;

/**
 * One sequence and its labels.
 *
 * @param ids [tokens]
 * @param labels [tokens], {@link Batch#IGNORED} where not scored
 * @param weights [tokens], or null: 1 everywhere
 */
record Sequence(int[] ids, int[] labels, float[] weights) {
  /** A sequence of which the tokens from an index on are scored. */
  static Sequence scoredFrom(int[] ids, int from) {
    int[] labels = ids.clone();
    Arrays.fill(labels, 0, from, Batch.IGNORED);
    return new Sequence(ids, labels, null);
  }

  /** What the loss at a position counts; 0 where nothing is scored. */
  double weight(int position) {
    return labels[position] == Batch.IGNORED ? 0 : weights == null ? 1 : weights[position];
  }

  /** How many tokens are scored: the first of a sequence never is. */
  int labelledTokens() {
    int count = 0;
    for (int i = 1; i < labels.length; i++) {
      count += weight(i) > 0 ? 1 : 0;
    }
    return count;
  }

  /** A copy of the tokens from an index to another one, exclusive. */
  Sequence slice(int from, int to) {
    return new Sequence(
        Arrays.copyOfRange(ids, from, to),
        Arrays.copyOfRange(labels, from, to),
        weights == null ? null : Arrays.copyOfRange(weights, from, to));
  }

  /** Sequences end to end, without their weights. */
  static Batch batch(List<Sequence> sequences) {
    int tokens = sequences.stream().mapToInt(sequence -> sequence.ids.length).sum();
    int[] ids = new int[tokens];
    int[] labels = new int[tokens];
    int[] offsets = new int[sequences.size() + 1];
    for (int s = 0; s < sequences.size(); s++) {
      Sequence sequence = sequences.get(s);
      int length = sequence.ids.length;
      System.arraycopy(sequence.ids, 0, ids, offsets[s], length);
      System.arraycopy(sequence.labels, 0, labels, offsets[s], length);
      offsets[s + 1] = offsets[s] + length;
    }
    return new Batch(ids, labels, null, offsets);
  }
}
