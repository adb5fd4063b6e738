package org.lorakernels.merge;

import java.nio.file.Path;
import org.lorakernels.InvalidArgumentException;

/**
 * A fine-tuned model and how much of its difference from the base is wanted.
 *
 * @param directory of a dense checkpoint with the base's weights by name and shape
 * @param weight finite; of slerp the place between the base (0) and the model (1)
 */
public record WeightedModel(Path directory, float weight) {
  /** Checks the weight. */
  public WeightedModel {
    if (!Float.isFinite(weight)) {
      throw new InvalidArgumentException("weight: must be finite, but is " + weight);
    }
  }
}
