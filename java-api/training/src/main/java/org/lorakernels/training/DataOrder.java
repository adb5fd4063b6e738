package org.lorakernels.training;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.data.EpochOrder;

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
    if (permutation == null || (shuffle && permutedEpoch != epoch)) {
      permutation =
          shuffle ? EpochOrder.of(examples, seed, epoch) : IntStream.range(0, examples).toArray();
      permutedEpoch = epoch;
    }
    return permutation;
  }
}
