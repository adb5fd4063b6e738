package org.lorakernels;

import java.util.Objects;
import java.util.regex.Pattern;

/**
 * Parameters with a weight decay and a learning rate of their own.
 *
 * @param names found somewhere in the names of the group's parameters
 * @param weightDecay of the group, in place of {@link AdamWConfig#weightDecay()}
 * @param learningRateScale times {@link AdamWConfig#learningRate()}; 1: the same
 */
public record ParameterGroup(Pattern names, double weightDecay, double learningRateScale) {
  /** Checks its values. */
  public ParameterGroup {
    Objects.requireNonNull(names, "names");
    AdamWConfig.require("weight decay of group " + names, weightDecay, Double.MAX_VALUE);
    AdamWConfig.require(
        "learning rate scale of group " + names, learningRateScale, Double.MAX_VALUE);
  }

  boolean has(String name) {
    return names.matcher(name).find();
  }
}
