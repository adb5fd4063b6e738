package org.lorakernels.oracle;

import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;
import java.util.random.RandomGenerator;

/**
 * A float64 matrix, row-major, with the few operations that the references need, written as in a
 * textbook.
 */
public record Matrix(int rows, int cols, double[] values) {

  public Matrix {
    if (values.length != rows * cols)
      throw new IllegalArgumentException(values.length + " values for " + rows + "x" + cols);
  }

  public static Matrix of(int rows, int cols, float[] values) {
    return new Matrix(rows, cols, Precision.widen(values));
  }

  public static Matrix zeros(int rows, int cols) {
    return new Matrix(rows, cols, new double[rows * cols]);
  }

  /** Normally distributed values that are exact in {@code precision}. */
  public static Matrix gaussian(
      int rows, int cols, double deviation, Precision precision, RandomGenerator random) {
    double[] values = new double[rows * cols];
    for (int i = 0; i < values.length; i++)
      values[i] = precision.round(deviation * random.nextGaussian());
    return new Matrix(rows, cols, values);
  }

  public double at(int row, int col) {
    return values[row * cols + col];
  }

  public Matrix transposed() {
    Matrix out = zeros(cols, rows);
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < cols; j++) out.values[j * rows + i] = at(i, j);
    return out;
  }

  public Matrix times(Matrix right) {
    if (cols != right.rows)
      throw new IllegalArgumentException(cols + " columns times " + right.rows + " rows");
    Matrix out = zeros(rows, right.cols);
    for (int i = 0; i < rows; i++) {
      for (int k = 0; k < cols; k++) {
        double factor = at(i, k);
        for (int j = 0; j < right.cols; j++)
          out.values[i * right.cols + j] += factor * right.at(k, j);
      }
    }
    return out;
  }

  public Matrix timesTransposed(Matrix right) {
    return times(right.transposed());
  }

  public Matrix plus(Matrix other) {
    requireSameShape(other);
    double[] sum = values.clone();
    for (int i = 0; i < sum.length; i++) sum[i] += other.values[i];
    return new Matrix(rows, cols, sum);
  }

  /** Adds a row vector to every row; null adds nothing. */
  public Matrix plusRow(double[] row) {
    if (row == null) return this;
    double[] sum = values.clone();
    for (int i = 0; i < sum.length; i++) sum[i] += row[i % cols];
    return new Matrix(rows, cols, sum);
  }

  /** The element-wise product. */
  public Matrix masked(Matrix mask) {
    requireSameShape(mask);
    double[] product = values.clone();
    for (int i = 0; i < product.length; i++) product[i] *= mask.values[i];
    return new Matrix(rows, cols, product);
  }

  public Matrix scaled(double factor) {
    return map(x -> factor * x);
  }

  public Matrix abs() {
    return map(Math::abs);
  }

  public Matrix rounded(Precision precision) {
    return map(precision::round);
  }

  public Matrix map(DoubleUnaryOperator function) {
    return new Matrix(rows, cols, Arrays.stream(values).map(function).toArray());
  }

  /** The values in float32: exact for a matrix whose values were rounded to a {@link Precision}. */
  public float[] floats() {
    float[] out = new float[values.length];
    for (int i = 0; i < out.length; i++) out[i] = (float) values[i];
    return out;
  }

  private void requireSameShape(Matrix other) {
    if (rows != other.rows || cols != other.cols) {
      throw new IllegalArgumentException(
          rows + "x" + cols + " with " + other.rows + "x" + other.cols);
    }
  }
}
