package org.lorakernels.training.data;

import java.util.Random;

/**
 * The order of examples in a pass over the data: a function of the seed and the number of the pass
 * alone, so that a run that stopped goes on in the same order.
 */
public final class EpochOrder {
  private EpochOrder() {}

  /**
   * A permutation, by Fisher and Yates.
   *
   * @param size how many examples there are
   * @param seed of the run
   * @param epoch number of the pass, from 0
   * @return the numbers from 0 to {@code size - 1}, shuffled
   */
  public static int[] of(int size, long seed, long epoch) {
    int[] order = new int[size];
    // java.util.Random is the generator that Java specifies to the bit
    Random random = new Random(seed * 0x9E3779B97F4A7C15L + epoch);
    for (int i = 0; i < size; i++) {
      order[i] = i;
    }
    for (int i = size - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
    return order;
  }
}
