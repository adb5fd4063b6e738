package org.lorakernels.oracle;

import org.lorakernels.DType;

/**
 * The floating-point formats of the product as arithmetic on doubles: rounding to nearest even and
 * the spacing of values, from the number of significant bits and the smallest exponent alone. No
 * bit manipulation is shared with the product.
 */
public enum Precision {
  F32(DType.F32, 24, -126, 127),
  BF16(DType.BF16, 8, -126, 127),
  F16(DType.F16, 11, -14, 15);

  private final DType dtype;
  private final int significantBits;
  private final int minExponent;
  private final int maxExponent;

  Precision(DType dtype, int significantBits, int minExponent, int maxExponent) {
    this.dtype = dtype;
    this.significantBits = significantBits;
    this.minExponent = minExponent;
    this.maxExponent = maxExponent;
  }

  public static Precision of(DType dtype) {
    for (Precision precision : values()) if (precision.dtype == dtype) return precision;
    throw new IllegalArgumentException(dtype + " is not a floating-point dtype");
  }

  public DType dtype() {
    return dtype;
  }

  /** Half the distance from 1 to the next value: the relative error of one rounding. */
  public double unitRoundoff() {
    return Math.scalb(1.0, -significantBits);
  }

  /** Distance between neighbouring values at {@code x}; the subnormal spacing near zero. */
  public double ulp(double x) {
    int exponent = x == 0 ? minExponent : Math.max(Math.getExponent(x), minExponent);
    return Math.scalb(1.0, exponent - significantBits + 1);
  }

  /**
   * {@code x} rounded to the nearest value, ties to even; infinite where that overflows; NaN stays
   * NaN.
   */
  public float round(double x) {
    if (Double.isNaN(x) || Double.isInfinite(x)) return (float) x;
    double spacing = ulp(x);
    double rounded = Math.rint(x / spacing) * spacing;
    if (rounded == 0) return (float) Math.copySign(0.0, x);
    if (Math.getExponent(rounded) > maxExponent)
      return (float) Math.copySign(Double.POSITIVE_INFINITY, x);
    return (float) rounded;
  }

  public float[] round(double[] values) {
    float[] rounded = new float[values.length];
    for (int i = 0; i < values.length; i++) rounded[i] = round(values[i]);
    return rounded;
  }

  public static double[] widen(float[] values) {
    double[] wide = new double[values.length];
    for (int i = 0; i < values.length; i++) wide[i] = values[i];
    return wide;
  }

  /** The value of an IEEE half. */
  public static float decodeHalf(short bits) {
    int exponent = bits >> 10 & 31;
    int fraction = bits & 1023;
    double magnitude;
    if (exponent == 31) magnitude = fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
    else if (exponent == 0) magnitude = Math.scalb((double) fraction, -24);
    else magnitude = Math.scalb(1024.0 + fraction, exponent - 25);
    return (float) (bits < 0 ? -magnitude : magnitude);
  }
}
