package org.lorakernels.oracle;

import java.util.Arrays;
import java.util.Locale;
import java.util.function.IntToDoubleFunction;
import org.opentest4j.AssertionFailedError;

/** The one comparator of the tests: it reports the worst element, or the first one that differs. */
public final class Compare {
  private Compare() {}

  /**
   * Fails unless every element is within the tolerance; NaN fits NaN alone, an infinity itself
   * alone.
   */
  public static void close(String what, double[] expected, float[] actual, Tolerance tolerance) {
    requireSameCount(what, expected.length, actual.length);
    IntToDoubleFunction allowed = tolerance.bound().over(expected);
    int worst = -1;
    double worstExcess = 1;
    for (int i = 0; i < actual.length; i++) {
      double excess = excess(expected[i], actual[i], allowed.applyAsDouble(i));
      if (excess > worstExcess) {
        worst = i;
        worstExcess = excess;
      }
    }
    if (worst >= 0) {
      throw new AssertionFailedError(
          String.format(
              Locale.ROOT,
              "%s[%d]: expected %.9g, got %.9g, which is %.3g times the allowed difference %.3g"
                  + " (%s)",
              what,
              worst,
              expected[worst],
              actual[worst],
              worstExcess,
              allowed.applyAsDouble(worst),
              tolerance.reason()));
    }
  }

  public static void close(String what, Matrix expected, float[] actual, Tolerance tolerance) {
    close(what, expected.values(), actual, tolerance);
  }

  /**
   * Fails unless the bytes are equal; {@code elementBytes} turns the place of a difference into an
   * index.
   */
  public static void identical(String what, byte[] expected, byte[] actual, int elementBytes) {
    requireSameCount(what, expected.length, actual.length);
    int differing = 0;
    int first = -1;
    for (int i = 0; i < expected.length; i += elementBytes) {
      if (Arrays.equals(expected, i, i + elementBytes, actual, i, i + elementBytes)) continue;
      if (differing++ == 0) first = i;
    }
    if (differing > 0) {
      throw new AssertionFailedError(
          String.format(
              "%s: %d of %d elements differ; the first is [%d]: expected 0x%s, got 0x%s",
              what,
              differing,
              expected.length / elementBytes,
              first / elementBytes,
              hex(expected, first, elementBytes),
              hex(actual, first, elementBytes)));
    }
  }

  private static double excess(double expected, double actual, double allowed) {
    if (Double.isNaN(expected) || Double.isInfinite(expected)) {
      return Double.compare(expected, actual) == 0 ? 0 : Double.POSITIVE_INFINITY;
    }
    double difference = Math.abs(actual - expected);
    if (difference == 0) return 0;
    return Double.isNaN(difference) || allowed == 0
        ? Double.POSITIVE_INFINITY
        : difference / allowed;
  }

  private static void requireSameCount(String what, int expected, int actual) {
    if (expected != actual)
      throw new AssertionFailedError(what + ": expected " + expected + " elements, got " + actual);
  }

  private static String hex(byte[] bytes, int from, int count) {
    StringBuilder text = new StringBuilder();
    for (int i = from + count - 1; i >= from; i--) text.append(String.format("%02x", bytes[i]));
    return text.toString();
  }
}
