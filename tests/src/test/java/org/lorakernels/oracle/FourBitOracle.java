package org.lorakernels.oracle;

import org.lorakernels.CodeBook;
import org.lorakernels.golden.GoldenFile;

/**
 * NF4 and FP4 in plain float32, from the published rules; code books and decision midpoints are
 * those of the golden tables.
 *
 * <ul>
 *   <li>Blocks run over the flattened tensor; absmax = max|x|.
 *   <li>Full block: v = clamp(x * (1 / max(absmax, 1e-38))). Tail block: absmax = max(absmax,
 *       1e-38), v = clamp(x / absmax).
 *   <li>The code is the number of midpoints below v: a tie goes to the lower code, NaN to the
 *       highest.
 *   <li>Element 2i is in the high nibble of byte i; the spare nibble of an odd count holds the code
 *       of 0.
 * </ul>
 */
public final class FourBitOracle {
  private static final float SMALLEST_ABSMAX = 1e-38f;

  private final float[] codes;
  private final float[] midpoints;
  private final int[] codeOfRank;

  /** Packed codes, high nibble first, and one absmax for each block. */
  public record Quantized(byte[] packed, float[] absmax) {}

  private FourBitOracle(float[] codes, float[] midpoints, int[] codeOfRank) {
    this.codes = codes;
    this.midpoints = midpoints;
    this.codeOfRank = codeOfRank;
  }

  public static FourBitOracle of(CodeBook codeBook) {
    GoldenFile tables = GoldenFile.open("nf4/tables.safetensors");
    if (codeBook == CodeBook.NF4) {
      int[] ascending = new int[16];
      for (int i = 0; i < 16; i++) ascending[i] = i;
      return new FourBitOracle(
          tables.get("nf4_code").floats(), tables.get("nf4_midpoints").floats(), ascending);
    }
    float[] order = tables.get("fp4_sort_order").floats();
    int[] codeOfRank = new int[16];
    for (int i = 0; i < 16; i++) codeOfRank[i] = (int) order[i];
    return new FourBitOracle(
        tables.get("fp4_code").floats(), tables.get("fp4_midpoints_sorted").floats(), codeOfRank);
  }

  public Quantized quantize(float[] values, int blockSize) {
    int blocks = (values.length + blockSize - 1) / blockSize;
    byte[] packed = new byte[(values.length + 1) / 2];
    float[] absmax = new float[blocks];
    if (values.length % 2 == 1) put(packed, values.length, nearest(0));
    for (int block = 0; block < blocks; block++) {
      int from = block * blockSize;
      int to = Math.min(from + blockSize, values.length);
      boolean tail = to - from < blockSize;
      float largest = largestMagnitude(values, from, to);
      float divisor = Math.max(largest, SMALLEST_ABSMAX);
      float reciprocal = 1.0f / divisor;
      absmax[block] = tail ? divisor : largest;
      for (int i = from; i < to; i++)
        put(packed, i, nearest(clamp(tail ? values[i] / divisor : values[i] * reciprocal)));
    }
    return new Quantized(packed, absmax);
  }

  /** code * scale in float32. */
  public float[] dequantize(byte[] packed, float[] scales, int blockSize, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) values[i] = codes[code(packed, i)] * scales[i / blockSize];
    return values;
  }

  /**
   * Scales of double quantisation: map[code] * nestedAbsmax + offset in float32, 256 codes to a
   * nested block.
   */
  public static float[] scales(byte[] absmaxCodes, float[] nestedAbsmax, float offset) {
    float[] map = GoldenFile.open("nf4/tables.safetensors").get("dynamic_signed_256").floats();
    float[] scales = new float[absmaxCodes.length];
    for (int i = 0; i < scales.length; i++)
      scales[i] = map[absmaxCodes[i] & 0xff] * nestedAbsmax[i / 256] + offset;
    return scales;
  }

  /** Code of element {@code i}. */
  public static int code(byte[] packed, int i) {
    return i % 2 == 0 ? packed[i / 2] >> 4 & 15 : packed[i / 2] & 15;
  }

  /** Distance of {@code v} in [-1, 1] from the nearest decision midpoint. */
  public double distanceToMidpoint(double v) {
    double distance = Double.POSITIVE_INFINITY;
    for (float midpoint : midpoints) distance = Math.min(distance, Math.abs(v - midpoint));
    return distance;
  }

  private static void put(byte[] packed, int i, int code) {
    packed[i / 2] |= (byte) (i % 2 == 0 ? code << 4 : code);
  }

  private int nearest(float v) {
    int rank = 0;
    while (rank < midpoints.length && !(v <= midpoints[rank])) rank++;
    return codeOfRank[rank];
  }

  private static float largestMagnitude(float[] values, int from, int to) {
    float largest = 0;
    for (int i = from; i < to; i++) largest = Math.max(largest, Math.abs(values[i]));
    return largest;
  }

  private static float clamp(float v) {
    return Math.max(-1, Math.min(1, v));
  }
}
