package org.lorakernels.merge;

import java.util.Arrays;
import java.util.List;

/**
 * What a merge would do.
 *
 * @param method that would be used
 * @param base what would be added to
 * @param weights that would change
 * @param sourceBytes bytes of all weights of the model
 */
public record MergePlan(
    CombineMethod method, MergeBase base, List<Changed> weights, long sourceBytes) {
  /** Keeps a copy of the list. */
  public MergePlan {
    weights = List.copyOf(weights);
  }

  /**
   * A weight that would change.
   *
   * @param name its name
   * @param shape its dimensions
   * @param stored how it is stored: {@code BF16}, or {@code 4-bit}
   * @param bytes as it is stored
   */
  public record Changed(String name, long[] shape, String stored, long bytes) {
    @Override
    public boolean equals(Object other) {
      return other instanceof Changed changed
          && name.equals(changed.name)
          && Arrays.equals(shape, changed.shape)
          && stored.equals(changed.stored)
          && bytes == changed.bytes;
    }

    @Override
    public int hashCode() {
      return name.hashCode();
    }
  }
}
