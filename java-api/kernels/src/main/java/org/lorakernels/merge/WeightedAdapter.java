package org.lorakernels.merge;

import org.lorakernels.InvalidArgumentException;
import org.lorakernels.peft.PeftAdapter;

/**
 * An adapter and how much of it is wanted.
 *
 * @param adapter stays the caller's
 * @param weight finite; negative takes its effect away
 */
public record WeightedAdapter(PeftAdapter adapter, float weight) {
  /** Checks the weight. */
  public WeightedAdapter {
    if (!Float.isFinite(weight)) {
      throw new InvalidArgumentException("weight: must be finite, but is " + weight);
    }
  }
}
