package org.lorakernels;

/**
 * Hyperparameters of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), with torch's defaults.
 * Immutable.
 */
public final class AdamWConfig {
  private final double learningRate;
  private final double beta1;
  private final double beta2;
  private final double epsilon;
  private final double weightDecay;

  private AdamWConfig(
      double learningRate, double beta1, double beta2, double epsilon, double weightDecay) {
    this.learningRate = require("learning rate", learningRate, Double.MAX_VALUE);
    this.beta1 = require("beta1", beta1, Math.nextDown(1.0));
    this.beta2 = require("beta2", beta2, Math.nextDown(1.0));
    this.epsilon = require("epsilon", epsilon, Double.MAX_VALUE);
    this.weightDecay = require("weight decay", weightDecay, Double.MAX_VALUE);
  }

  private static double require(String name, double value, double most) {
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

  /** Learning rate 1e-3, betas 0.9 and 0.999, epsilon 1e-8, weight decay 0.01. */
  public static AdamWConfig defaults() {
    return new AdamWConfig(1e-3, 0.9, 0.999, 1e-8, 0.01);
  }

  /** The same with another learning rate. */
  public AdamWConfig learningRate(double value) {
    return new AdamWConfig(value, beta1, beta2, epsilon, weightDecay);
  }

  /** The same with other decay rates of the two moments, each in [0, 1). */
  public AdamWConfig betas(double first, double second) {
    return new AdamWConfig(learningRate, first, second, epsilon, weightDecay);
  }

  /** The same with another term added to the denominator. */
  public AdamWConfig epsilon(double value) {
    return new AdamWConfig(learningRate, beta1, beta2, value, weightDecay);
  }

  /** The same with another decoupled weight decay. */
  public AdamWConfig weightDecay(double value) {
    return new AdamWConfig(learningRate, beta1, beta2, epsilon, value);
  }

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

  /** Decoupled weight decay. */
  public double weightDecay() {
    return weightDecay;
  }
}
