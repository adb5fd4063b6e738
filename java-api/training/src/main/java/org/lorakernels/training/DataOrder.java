package org.lorakernels.training;

import java.util.Arrays;
import java.util.Random;
import org.lorakernels.InvalidArgumentException;

/**
 * Which examples a step takes: a function of the configuration and the step's number alone, so that
 * a run goes on where it stopped without any state. As in transformers, the last batch of an epoch
 * and the last step of an epoch may be smaller than the others.
 */
final class DataOrder {
  private final int examples;
  private final int batchSize;
  private final int accumulation;
  private final boolean shuffle;
  private final long seed;

  private long permutedEpoch = -1;
  private int[] permutation;

  DataOrder(int examples, TrainingConfig config) {
    if (examples < 1) {
      throw new InvalidArgumentException(
          "Trainer: the training data must have at least one example, but has none");
    }
    this.examples = examples;
    this.batchSize = config.batchSize();
    this.accumulation = config.gradientAccumulationSteps();
    this.shuffle = config.shuffle();
    this.seed = config.seed();
  }

  private int batchesPerEpoch() {
    return (examples - 1) / batchSize + 1;
  }

  /** Steps of the optimiser in one pass over the data. */
  long stepsPerEpoch() {
    return (batchesPerEpoch() - 1) / accumulation + 1;
  }

  /** Steps of a whole run. */
  long totalSteps(TrainingConfig config) {
    return config.maxSteps() > 0
        ? config.maxSteps()
        : Math.max(1, (long) Math.ceil(config.epochs() * stepsPerEpoch()));
  }

  /**
   * The batches of a step.
   *
   * @param step steps taken before it, from 0
   * @return numbers of examples, one array a batch
   */
  int[][] batches(long step) {
    long epoch = step / stepsPerEpoch();
    int first = (int) (step % stepsPerEpoch()) * accumulation;
    int count = Math.min(accumulation, batchesPerEpoch() - first);
    int[] order = order(epoch);
    int[][] batches = new int[count][];
    for (int i = 0; i < count; i++) {
      int from = (first + i) * batchSize;
      batches[i] = Arrays.copyOfRange(order, from, Math.min(from + batchSize, examples));
    }
    return batches;
  }

  private int[] order(long epoch) {
    if (permutation == null) {
      permutation = new int[examples];
    } else if (!shuffle || permutedEpoch == epoch) {
      return permutation;
    }
    for (int i = 0; i < examples; i++) {
      permutation[i] = i;
    }
    if (shuffle) {
      // Fisher and Yates; java.util.Random is the generator that Java specifies to the bit.
      Random random = new Random(seed * 0x9E3779B97F4A7C15L + epoch);
      for (int i = examples - 1; i > 0; i--) {
        int j = random.nextInt(i + 1);
        int swapped = permutation[i];
        permutation[i] = permutation[j];
        permutation[j] = swapped;
      }
    }
    permutedEpoch = epoch;
    return permutation;
  }
}
