package org.lorakernels.training.data;

import java.util.Arrays;
import java.util.List;
import org.lorakernels.InvalidArgumentException;

/** Lays sequences into a batch. */
public final class Collator {
  private Collator() {}

  /**
   * Sequences end to end.
   *
   * @param examples at least one, none of them empty
   */
  public static Batch ragged(List<EncodedExample> examples) {
    return padded(examples, 0, new int[examples.size()]);
  }

  /**
   * Sequences that are all as long as the longest.
   *
   * @param examples at least one, none of them empty
   * @param padId what is put at the end of the shorter ones, with {@link Batch#IGNORED} as label
   * @param multipleOf the length is rounded up to a multiple of this, 1 or above
   */
  public static Batch padded(List<EncodedExample> examples, int padId, int multipleOf) {
    if (multipleOf < 1) {
      throw new InvalidArgumentException(
          "Collator: multipleOf must be 1 or above, but is " + multipleOf);
    }
    int longest = examples.stream().mapToInt(EncodedExample::length).max().orElse(0);
    int length =
        (int)
            Math.min(
                Integer.MAX_VALUE, ((long) longest + multipleOf - 1) / multipleOf * multipleOf);
    int[] lengths = new int[examples.size()];
    Arrays.fill(lengths, length);
    return padded(examples, padId, lengths);
  }

  private static Batch padded(List<EncodedExample> examples, int padId, int[] lengths) {
    if (examples.isEmpty()) {
      throw new InvalidArgumentException("Collator: a batch needs at least one example");
    }
    int[] offsets = new int[examples.size() + 1];
    boolean weighted = false;
    for (int i = 0; i < examples.size(); i++) {
      offsets[i + 1] = Math.addExact(offsets[i], Math.max(lengths[i], examples.get(i).length()));
      weighted |= examples.get(i).weights() != null;
    }
    int tokens = offsets[examples.size()];
    int[] ids = new int[tokens];
    int[] labels = new int[tokens];
    float[] weights = weighted ? new float[tokens] : null;
    Arrays.fill(ids, padId);
    Arrays.fill(labels, Batch.IGNORED);
    for (int i = 0; i < examples.size(); i++) {
      EncodedExample example = examples.get(i);
      System.arraycopy(example.inputIds(), 0, ids, offsets[i], example.length());
      System.arraycopy(example.labels(), 0, labels, offsets[i], example.length());
      if (weighted && example.weights() == null) {
        Arrays.fill(weights, offsets[i], offsets[i] + example.length(), 1);
      } else if (weighted) {
        System.arraycopy(example.weights(), 0, weights, offsets[i], example.length());
      }
    }
    return new Batch(ids, labels, weights, offsets);
  }
}
