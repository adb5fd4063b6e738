package org.lorakernels.oracle;

/** AdamW in float64, in torch's order: decay, moments, bias correction, update. */
public final class AdamWOracle {
  private final double learningRate;
  private final double beta1;
  private final double beta2;
  private final double epsilon;
  private final double weightDecay;
  private int step;

  public final double[] parameter;
  public final double[] expAvg;
  public final double[] expAvgSq;

  public AdamWOracle(
      double[] parameter,
      double learningRate,
      double beta1,
      double beta2,
      double epsilon,
      double weightDecay) {
    this.parameter = parameter.clone();
    this.expAvg = new double[parameter.length];
    this.expAvgSq = new double[parameter.length];
    this.learningRate = learningRate;
    this.beta1 = beta1;
    this.beta2 = beta2;
    this.epsilon = epsilon;
    this.weightDecay = weightDecay;
  }

  /** One step with {@code gradient} times {@code gradientScale}. */
  public void step(double[] gradient, double gradientScale) {
    step++;
    double correction1 = 1 - Math.pow(beta1, step);
    double correction2 = 1 - Math.pow(beta2, step);
    for (int i = 0; i < parameter.length; i++) {
      double g = gradient[i] * gradientScale;
      parameter[i] *= 1 - learningRate * weightDecay;
      expAvg[i] = beta1 * expAvg[i] + (1 - beta1) * g;
      expAvgSq[i] = beta2 * expAvgSq[i] + (1 - beta2) * g * g;
      double denominator = Math.sqrt(expAvgSq[i]) / Math.sqrt(correction2) + epsilon;
      parameter[i] -= learningRate / correction1 * expAvg[i] / denominator;
    }
  }
}
