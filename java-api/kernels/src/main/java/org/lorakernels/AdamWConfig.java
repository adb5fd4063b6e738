package org.lorakernels;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * Hyperparameters of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) or Adam (Kingma and Ba
 * 2015, arXiv:1412.6980), with torch's defaults, and how states are stored. Immutable.
 */
public final class AdamWConfig {
  private double learningRate = 1e-3;
  private double beta1 = 0.9;
  private double beta2 = 0.999;
  private double epsilon = 1e-8;
  private double weightDecay = 0.01;
  private boolean decoupled = true;
  private double maxGradNorm;
  private StateType stateType = StateType.F32;
  private long minEightBitSize = 4096;
  private boolean masterWeights;
  private List<ParameterGroup> groups = List.of();

  private AdamWConfig() {}

  /** The same but for what {@code change} does to the copy. */
  private AdamWConfig with(Consumer<AdamWConfig> change) {
    AdamWConfig copy = new AdamWConfig();
    copy.learningRate = learningRate;
    copy.beta1 = beta1;
    copy.beta2 = beta2;
    copy.epsilon = epsilon;
    copy.weightDecay = weightDecay;
    copy.decoupled = decoupled;
    copy.maxGradNorm = maxGradNorm;
    copy.stateType = stateType;
    copy.minEightBitSize = minEightBitSize;
    copy.masterWeights = masterWeights;
    copy.groups = groups;
    change.accept(copy);
    return copy;
  }

  static double require(String name, double value, double most) {
    if (!(value >= 0 && value <= most)) {
      throw new InvalidArgumentException(
          "AdamWConfig: "
              + name
              + " must be at least 0"
              + (most < 1 ? " and below 1" : "")
              + ", but is "
              + value);
    }
    return value;
  }

  // ---- made

  /**
   * AdamW with learning rate 1e-3, betas 0.9 and 0.999, epsilon 1e-8, weight decay 0.01, no
   * clipping, states in F32.
   */
  public static AdamWConfig defaults() {
    return new AdamWConfig();
  }

  /** The same with another learning rate. */
  public AdamWConfig learningRate(double value) {
    require("learning rate", value, Double.MAX_VALUE);
    return with(copy -> copy.learningRate = value);
  }

  /** The same with other decay rates of the two moments, each in [0, 1). */
  public AdamWConfig betas(double first, double second) {
    require("beta1", first, Math.nextDown(1.0));
    require("beta2", second, Math.nextDown(1.0));
    return with(
        copy -> {
          copy.beta1 = first;
          copy.beta2 = second;
        });
  }

  /** The same with another term added to the denominator. */
  public AdamWConfig epsilon(double value) {
    require("epsilon", value, Double.MAX_VALUE);
    return with(copy -> copy.epsilon = value);
  }

  /** The same with another weight decay. */
  public AdamWConfig weightDecay(double value) {
    require("weight decay", value, Double.MAX_VALUE);
    return with(copy -> copy.weightDecay = value);
  }

  /**
   * AdamW (true, the default), whose weight decay shrinks parameters; or Adam, which adds weight
   * decay times the parameter to the gradient.
   */
  public AdamWConfig decoupled(boolean value) {
    return with(copy -> copy.decoupled = value);
  }

  /**
   * The same with gradients scaled down to this norm, of all gradients together, where theirs is
   * larger (torch's {@code clip_grad_norm_}); 0, the default: never.
   */
  public AdamWConfig maxGradNorm(double value) {
    require("max grad norm", value, Float.MAX_VALUE);
    return with(copy -> copy.maxGradNorm = value);
  }

  /** The same with states stored in another way. */
  public AdamWConfig stateType(StateType value) {
    Objects.requireNonNull(value, "stateType");
    return with(copy -> copy.stateType = value);
  }

  /**
   * The same with another least number of elements of a parameter whose states are in 8 bits;
   * smaller ones keep F32. 4096 by default, bitsandbytes' {@code min_8bit_size}.
   */
  public AdamWConfig minEightBitSize(long elements) {
    if (elements < 0) {
      throw new InvalidArgumentException(
          "AdamWConfig: min eight bit size must be at least 0, but is " + elements);
    }
    return with(copy -> copy.minEightBitSize = elements);
  }

  /**
   * The same with or without an F32 master for every BF16 parameter: the parameter is its rounding,
   * and steps too small for BF16 add up. Off by default; 4 more bytes for every element.
   */
  public AdamWConfig masterWeights(boolean value) {
    return with(copy -> copy.masterWeights = value);
  }

  /** The same with one more group; a parameter belongs to the first one that has its name. */
  public AdamWConfig group(ParameterGroup group) {
    List<ParameterGroup> all = new ArrayList<>(groups);
    all.add(Objects.requireNonNull(group, "group"));
    return with(copy -> copy.groups = List.copyOf(all));
  }

  // ---- asked

  /** Step size. */
  public double learningRate() {
    return learningRate;
  }

  /** Decay rate of the first moment. */
  public double beta1() {
    return beta1;
  }

  /** Decay rate of the second moment. */
  public double beta2() {
    return beta2;
  }

  /** Term added to the denominator. */
  public double epsilon() {
    return epsilon;
  }

  /** Weight decay of parameters that are in no group. */
  public double weightDecay() {
    return weightDecay;
  }

  /** True: AdamW; false: Adam. */
  public boolean decoupled() {
    return decoupled;
  }

  /** The largest norm of all gradients together; 0: any. */
  public double maxGradNorm() {
    return maxGradNorm;
  }

  /** How states of parameters that are large enough are stored. */
  public StateType stateType() {
    return stateType;
  }

  /** Elements from which on states are in 8 bits. */
  public long minEightBitSize() {
    return minEightBitSize;
  }

  /** Whether BF16 parameters have F32 masters. */
  public boolean masterWeights() {
    return masterWeights;
  }

  /** Groups in the order in which they are asked. */
  public List<ParameterGroup> groups() {
    return groups;
  }

  /** How the states of a parameter with so many elements are stored. */
  public StateType stateTypeOf(long elements) {
    return stateType == StateType.EIGHT_BIT && elements < minEightBitSize
        ? StateType.F32
        : stateType;
  }

  /** Whether a parameter of this type has a master. */
  public boolean hasMaster(DType parameter) {
    return masterWeights && parameter == DType.BF16;
  }

  /** Weight decay of the parameter of that name. */
  public double weightDecayOf(String name) {
    for (ParameterGroup group : groups) {
      if (group.has(name)) {
        return group.weightDecay();
      }
    }
    return weightDecay;
  }

  /** What the learning rate is multiplied by for the parameter of that name. */
  public double learningRateScaleOf(String name) {
    for (ParameterGroup group : groups) {
      if (group.has(name)) {
        return group.learningRateScale();
      }
    }
    return 1;
  }

  /** Bytes of the states of a parameter with so many elements, its master included. */
  public long stateBytes(long elements, DType parameter) {
    long master = hasMaster(parameter) ? 4 * elements : 0;
    return master
        + switch (stateTypeOf(elements)) {
          case F32 -> 8 * elements;
          case BF16 -> 4 * elements;
          case EIGHT_BIT -> 2 * elements + 8 * ((elements + 255) / 256);
        };
  }
}
