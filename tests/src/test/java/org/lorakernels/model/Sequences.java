package org.lorakernels.model;

import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.lorakernels.training.data.Batch;

/** Batches for tests. */
final class Sequences {
  private Sequences() {}

  /** Sequences end to end. */
  static Batch pack(List<int[]> ids, List<int[]> labels) {
    int[] offsets = new int[ids.size() + 1];
    for (int s = 0; s < ids.size(); s++) {
      offsets[s + 1] = offsets[s] + ids.get(s).length;
    }
    return new Batch(concatenated(ids), concatenated(labels), null, offsets);
  }

  private static int[] concatenated(List<int[]> parts) {
    return parts.stream().flatMapToInt(IntStream::of).toArray();
  }

  /** Random ids. */
  static int[] random(long seed, int length, int vocabulary) {
    return new Random(seed).ints(length, 0, vocabulary).toArray();
  }

  /** One sequence of random ids, each its own label. */
  static Batch one(long seed, int length, int vocabulary) {
    int[] ids = random(seed, length, vocabulary);
    return new Batch(ids, ids, null, new int[] {0, length});
  }
}
