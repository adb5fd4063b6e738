package org.lorakernels.oracle;

import java.util.function.IntToDoubleFunction;

/**
 * How far a result may be from its reference, element by element, and why.
 *
 * @param reason shown when a comparison fails
 */
public record Tolerance(Bound bound, String reason) {

  /** Gives, for a reference, the largest allowed |actual - expected| of each of its elements. */
  @FunctionalInterface
  public interface Bound {
    IntToDoubleFunction over(double[] expected);
  }

  /** {@code factor} times the largest magnitude of the reference. */
  public static Tolerance ofMax(double factor, String reason) {
    return new Tolerance(
        expected -> {
          double bound = factor * largest(expected);
          return i -> bound;
        },
        reason);
  }

  /** The same for every element. */
  public static Tolerance absolute(double bound, String reason) {
    return new Tolerance(expected -> i -> bound, reason);
  }

  public static Tolerance relative(double relative, double absolute, String reason) {
    return new Tolerance(expected -> i -> relative * Math.abs(expected[i]) + absolute, reason);
  }

  /** {@code factor} times the Euclidean norm of the element's row. */
  public static Tolerance ofRowNorm(double factor, int cols, String reason) {
    return new Tolerance(expected -> i -> factor * norm(expected, i / cols * cols, cols), reason);
  }

  /** {@code count} spacings of {@code precision} at the reference. */
  public static Tolerance ulps(double count, Precision precision, String reason) {
    return new Tolerance(expected -> i -> count * precision.ulp(expected[i]), reason);
  }

  /**
   * {@code factor} times the sum of the magnitudes that went into the element, plus the rounding of
   * the result itself to {@code output}; what is rounded may lie beyond the next power of two,
   * where values are twice as far apart.
   */
  public static Tolerance ofTerms(
      double factor, Matrix magnitudes, Precision output, String reason) {
    return new Tolerance(
        expected ->
            i -> {
              double error = factor * magnitudes.values()[i];
              return error + 0.5001 * output.ulp(Math.abs(expected[i]) + error);
            },
        reason);
  }

  private static double largest(double[] values) {
    double largest = 0;
    for (double value : values) largest = Math.max(largest, Math.abs(value));
    return largest;
  }

  private static double norm(double[] values, int from, int count) {
    double squares = 0;
    for (int i = from; i < from + count; i++) squares += values[i] * values[i];
    return Math.sqrt(squares);
  }
}
