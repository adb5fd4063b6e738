package org.lorakernels.oracle;

/**
 * LoRA in float64, as the formulas stand: y = x W^T + bias + s ((D . x) A^T) B^T, and its
 * gradients.
 *
 * @param weight W [N, K]
 * @param bias [N], or null
 * @param a A [rank, K]
 * @param b B [N, rank]
 * @param scaling s
 * @param mask D [M, K], or null without dropout
 */
public record LoraOracle(
    Matrix weight, double[] bias, Matrix a, Matrix b, double scaling, Matrix mask) {

  /** dx [M, K], dA [rank, K], dB [N, rank]. */
  public record Gradients(Matrix dx, Matrix dA, Matrix dB) {}

  /** y [M, N] of x [M, K]. */
  public Matrix forward(Matrix x) {
    Matrix adapted = dropped(x).timesTransposed(a).timesTransposed(b).scaled(scaling);
    return x.timesTransposed(weight).plusRow(bias).plus(adapted);
  }

  /** Gradients for dy [M, N] at x [M, K]. */
  public Gradients backward(Matrix x, Matrix dy) {
    Matrix s = dropped(x).timesTransposed(a);
    Matrix ds = dy.times(b).scaled(scaling);
    Matrix dA = ds.transposed().times(dropped(x));
    Matrix dB = dy.transposed().times(s).scaled(scaling);
    Matrix dx = dy.times(weight).plus(dropped(ds.times(a)));
    return new Gradients(dx, dA, dB);
  }

  /** scaling B A: what merging adds to the weight. */
  public Matrix delta() {
    return b.times(a).scaled(scaling);
  }

  /**
   * The same layer with every number replaced by its absolute value: what it computes bounds the
   * rounding error.
   */
  public LoraOracle magnitudes() {
    double[] positiveBias = bias == null ? null : new Matrix(1, bias.length, bias).abs().values();
    return new LoraOracle(weight.abs(), positiveBias, a.abs(), b.abs(), Math.abs(scaling), mask);
  }

  private Matrix dropped(Matrix x) {
    return mask == null ? x : x.masked(mask);
  }
}
