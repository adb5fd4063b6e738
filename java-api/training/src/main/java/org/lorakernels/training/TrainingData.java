package org.lorakernels.training;

import org.lorakernels.training.data.Batch;

/** Examples by number, of which a trainer takes batches in an order of its own. */
public interface TrainingData {
  /** How many examples there are. */
  int size();

  /**
   * Some examples as one batch.
   *
   * @param examples numbers from 0 to {@link #size} - 1, at least one, in the order of the batch
   */
  Batch batch(int[] examples);
}
