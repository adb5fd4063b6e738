package org.lorakernels.oracle;

/**
 * The dropout mask of a LoRA adapter, from the definition in lora_kernels.h (lk_lora): element
 * (row, col) is kept where word col % 4 of Philox4x32-10(counter = {col / 4, row, step low, step
 * high}, key = seed) is at least floor(rate * 2^32).
 */
public final class DropoutOracle {
  private static final long WORD = 0xffffffffL;

  private DropoutOracle() {}

  /** Factors for a matrix [rows, cols]: 0, or 1 / (1 - rate). */
  public static Matrix mask(int rows, int cols, float rate, long seed, long step) {
    long threshold = (long) Math.floor(rate * 0x1p32);
    double kept = 1.0 / (1.0 - rate);
    Matrix mask = Matrix.zeros(rows, cols);
    for (int row = 0; row < rows; row++) {
      for (int col = 0; col < cols; col++) {
        long word = philox(new long[] {col / 4, row, step & WORD, step >>> 32}, seed)[col % 4];
        mask.values()[row * cols + col] = word >= threshold ? kept : 0.0;
      }
    }
    return mask;
  }

  /** Philox4x32-10 of Salmon et al. 2011: four 32-bit words, held in longs. */
  static long[] philox(long[] counter, long key) {
    long key0 = key & WORD;
    long key1 = key >>> 32;
    long[] c = counter.clone();
    for (int round = 0; round < 10; round++) {
      long product0 = 0xD2511F53L * c[0];
      long product1 = 0xCD9E8D57L * c[2];
      c =
          new long[] {
            (product1 >>> 32) ^ c[1] ^ key0,
            product1 & WORD,
            (product0 >>> 32) ^ c[3] ^ key1,
            product0 & WORD
          };
      key0 = key0 + 0x9E3779B9L & WORD;
      key1 = key1 + 0xBB67AE85L & WORD;
    }
    return c;
  }
}
