package org.lorakernels.training.model;

import org.lorakernels.InvalidArgumentException;
import org.lorakernels.UnsupportedException;
import org.lorakernels.json.JsonObject;

/**
 * Frequencies of rotary positions (Su et al. 2021, arXiv:2104.09864) and how they are scaled to
 * longer contexts, as transformers computes them. Immutable.
 *
 * @param type the scaling
 * @param theta base of the frequencies
 * @param factor how much longer the context became; 1 without scaling
 * @param originalPositions the context that the model was first trained on
 * @param lowFrequencyFactor {@link Type#LLAMA3}
 * @param highFrequencyFactor {@link Type#LLAMA3}
 * @param betaFast {@link Type#YARN}: rotations above which a frequency stays
 * @param betaSlow {@link Type#YARN}: rotations below which a frequency is divided by the factor
 * @param truncate {@link Type#YARN}: whether the dimensions between are rounded outwards
 * @param attentionFactor what cosines and sines are multiplied by; 1 but for {@link Type#YARN}
 */
public record RopeConfig(
    Type type,
    double theta,
    double factor,
    long originalPositions,
    double lowFrequencyFactor,
    double highFrequencyFactor,
    double betaFast,
    double betaSlow,
    boolean truncate,
    double attentionFactor) {

  /** Where a file says {@link #originalPositions}. */
  static final String ORIGINAL = "original_max_position_embeddings";

  /** Ways to scale. */
  public enum Type {
    /** None. */
    DEFAULT,
    /** All frequencies divided by the factor: position interpolation, arXiv:2306.15595. */
    LINEAR,
    /** None up to the original context, which cannot be exceeded here: NTK-aware, by length. */
    DYNAMIC,
    /** Low frequencies divided, high ones kept, a ramp between: Llama 3.1. */
    LLAMA3,
    /** The same by rotations, and sharper attention: arXiv:2309.00071. */
    YARN
  }

  /** Plain rotary positions. */
  static RopeConfig plain(double theta, long positions) {
    return new RopeConfig(Type.DEFAULT, theta, 1, positions, 1, 1, 0, 0, false, 1);
  }

  /**
   * From what {@code rope_parameters} (transformers 5) or {@code rope_scaling} (4) says.
   *
   * @param json type, factor and so on
   * @param theta base, where {@code json} does not say {@code rope_theta}
   * @param maxPositions context of the model
   * @throws UnsupportedException if the type is none of these
   */
  static RopeConfig of(JsonObject json, double theta, long maxPositions) {
    String name = json.findString("rope_type").or(() -> json.findString("type")).orElse("default");
    double base = json.findNumber("rope_theta").orElse(theta);
    long original = json.findInteger(ORIGINAL).orElse(maxPositions);
    double partial = json.findNumber("partial_rotary_factor").orElse(1.0);
    if (partial != 1) {
      throw new UnsupportedException(
          "model: \"partial_rotary_factor\" must be 1, but is " + partial);
    }
    return switch (name) {
      case "default" -> plain(base, original);
      case "linear" -> scaled(Type.LINEAR, base, json.number("factor"), original);
      case "dynamic" -> scaled(Type.DYNAMIC, base, json.number("factor"), maxPositions);
      case "llama3" ->
          new RopeConfig(
              Type.LLAMA3,
              base,
              json.number("factor"),
              original,
              json.number("low_freq_factor"),
              json.number("high_freq_factor"),
              0,
              0,
              false,
              1);
      case "yarn" -> yarn(json, base, original, maxPositions);
      default ->
          throw new UnsupportedException(
              "model: scaling of rotary positions \""
                  + name
                  + "\" is not known; known are default, linear, dynamic, llama3, yarn");
    };
  }

  private static RopeConfig scaled(Type type, double theta, double factor, long positions) {
    return new RopeConfig(type, theta, factor, positions, 1, 1, 0, 0, false, 1);
  }

  private static RopeConfig yarn(JsonObject json, double theta, long original, long maxPositions) {
    double factor = json.findNumber("factor").orElse((double) maxPositions / original);
    double scale = json.findNumber("mscale").orElse(0.0);
    double scaleAll = json.findNumber("mscale_all_dim").orElse(0.0);
    double attention =
        scale != 0 && scaleAll != 0
            ? sharpness(factor, scale) / sharpness(factor, scaleAll)
            : sharpness(factor, 1);
    return new RopeConfig(
        Type.YARN,
        theta,
        factor,
        original,
        1,
        1,
        json.findNumber("beta_fast").orElse(32.0),
        json.findNumber("beta_slow").orElse(1.0),
        json.findBool("truncate").orElse(true),
        json.findNumber("attention_factor").orElse(attention));
  }

  private static double sharpness(double factor, double scale) {
    return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
  }

  /**
   * The angle by which a position turns each pair of dimensions, in F32 as transformers has it.
   *
   * @param headDim size of a head, even
   * @return [headDim / 2]
   */
  float[] inverseFrequencies(int headDim) {
    if (headDim % 2 != 0) {
      throw new InvalidArgumentException("model: head_dim must be even, but is " + headDim);
    }
    float[] inverse = new float[headDim / 2];
    for (int i = 0; i < inverse.length; i++) {
      inverse[i] = 1f / (float) Math.pow(theta, 2f * i / headDim);
    }
    switch (type) {
      case DEFAULT, DYNAMIC -> {}
      case LINEAR -> {
        for (int i = 0; i < inverse.length; i++) {
          inverse[i] /= (float) factor;
        }
      }
      case LLAMA3 -> scaleLlama3(inverse);
      case YARN -> scaleYarn(inverse, headDim);
    }
    return inverse;
  }

  private void scaleLlama3(float[] inverse) {
    double longest = originalPositions / lowFrequencyFactor;
    double shortest = originalPositions / highFrequencyFactor;
    for (int i = 0; i < inverse.length; i++) {
      double wavelength = 2 * Math.PI / inverse[i];
      double kept =
          (originalPositions / wavelength - lowFrequencyFactor)
              / (highFrequencyFactor - lowFrequencyFactor);
      if (wavelength > longest) {
        inverse[i] = (float) (inverse[i] / factor);
      } else if (wavelength >= shortest) {
        inverse[i] = (float) ((1 - kept) * inverse[i] / factor + kept * inverse[i]);
      }
    }
  }

  private void scaleYarn(float[] inverse, int headDim) {
    double low = dimensionOf(betaFast, headDim);
    double high = dimensionOf(betaSlow, headDim);
    low = Math.max(truncate ? Math.floor(low) : low, 0);
    high = Math.min(truncate ? Math.ceil(high) : high, headDim - 1);
    double width = low == high ? 0.001 : high - low;
    for (int i = 0; i < inverse.length; i++) {
      double divided = Math.min(Math.max((i - low) / width, 0), 1);
      inverse[i] = (float) (inverse[i] / factor * divided + inverse[i] * (1 - divided));
    }
  }

  /** The dimension whose pair turns so many times within the original context. */
  private double dimensionOf(double rotations, int headDim) {
    return headDim
        * Math.log(originalPositions / (rotations * 2 * Math.PI))
        / (2 * Math.log(theta));
  }
}
