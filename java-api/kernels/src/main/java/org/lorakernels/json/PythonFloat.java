package org.lorakernels.json;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;

/**
 * Python's {@code repr(float)}: of the decimal numbers that read back as the same double, the ones
 * with the fewest digits, and of those the nearest; written positionally while the decimal point
 * falls inside or near the digits, otherwise with an exponent of at least two digits.
 *
 * <p>{@link Double#toString(double)} does not serve: before Java 19 it prints more digits than
 * needed for some values (1.9999999999999998E23 for 2e23, 5.6843418860808015E-14 for 2 to the power
 * of -44), and it switches to exponents elsewhere.
 */
final class PythonFloat {
  /** Any double reads back from its nearest decimal of 17 digits. */
  private static final int MAX_DIGITS = 17;

  /** The decimal point stands at most this many places to the right of the first digit ... */
  private static final int MAX_POINT = 16;

  /** ... and there are at most three zeros between the point and the first digit. */
  private static final int MIN_POINT = -3;

  private PythonFloat() {}

  /** The text of a finite {@code value}. */
  static String repr(double value) {
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    BigDecimal shortest = shortest(Math.abs(value)).stripTrailingZeros();
    String digits = shortest.unscaledValue().toString();
    int point = digits.length() - shortest.scale(); // the value is 0.DIGITS times ten to this power
    String sign = value < 0 ? "-" : "";
    return sign
        + (MIN_POINT <= point && point <= MAX_POINT
            ? positional(digits, point)
            : scientific(digits, point - 1));
  }

  private static BigDecimal shortest(double value) {
    BigDecimal exact = new BigDecimal(value);
    for (int digits = 1; digits < MAX_DIGITS; digits++) {
      BigDecimal below = exact.round(new MathContext(digits, RoundingMode.DOWN));
      BigDecimal above = exact.round(new MathContext(digits, RoundingMode.UP));
      boolean belowReadsBack = below.doubleValue() == value;
      boolean aboveReadsBack = above.doubleValue() == value;
      // At a power of two the doubles below lie closer than those above, so that the nearer of the
      // two decimals may read back as a neighbour while the farther one does not.
      if (belowReadsBack && aboveReadsBack) {
        return exact.round(new MathContext(digits, RoundingMode.HALF_EVEN));
      }
      if (belowReadsBack || aboveReadsBack) {
        return belowReadsBack ? below : above;
      }
    }
    return exact.round(new MathContext(MAX_DIGITS, RoundingMode.HALF_EVEN));
  }

  private static String positional(String digits, int point) {
    if (point <= 0) {
      return "0." + "0".repeat(-point) + digits;
    }
    if (point >= digits.length()) {
      return digits + "0".repeat(point - digits.length()) + ".0";
    }
    return digits.substring(0, point) + "." + digits.substring(point);
  }

  private static String scientific(String digits, int exponent) {
    String fraction = digits.length() > 1 ? "." + digits.substring(1) : "";
    String magnitude = Integer.toString(Math.abs(exponent));
    return digits.charAt(0)
        + fraction
        + "e"
        + (exponent < 0 ? "-" : "+")
        + (magnitude.length() < 2 ? "0" : "")
        + magnitude;
  }
}
