package org.lorakernels.training.generation;

/**
 * Philox4x32-10, the counter-based generator of Salmon et al. 2011 ("Parallel random numbers: as
 * easy as 1, 2, 3"), which the kernels use for dropout as well. A number depends on the seed and
 * its index alone, so a draw can be made again without those before it, and neighbouring seeds give
 * unrelated numbers.
 */
final class Philox {
  private static final long WORD = 0xffffffffL;
  private static final int ROUNDS = 10;

  private Philox() {}

  /**
   * A number in [0, 1), with 53 random bits.
   *
   * @param seed the key: low word first
   * @param index the counter: {index low, index high, 0, 0}
   */
  static double uniform(long seed, long index) {
    long key0 = seed & WORD;
    long key1 = seed >>> 32;
    long c0 = index & WORD;
    long c1 = index >>> 32;
    long c2 = 0;
    long c3 = 0;
    for (int round = 0; round < ROUNDS; round++) {
      long product0 = 0xD2511F53L * c0;
      long product1 = 0xCD9E8D57L * c2;
      c0 = (product1 >>> 32) ^ c1 ^ key0;
      c1 = product1 & WORD;
      c2 = (product0 >>> 32) ^ c3 ^ key1;
      c3 = product0 & WORD;
      key0 = (key0 + 0x9E3779B9L) & WORD;
      key1 = (key1 + 0xBB67AE85L) & WORD;
    }
    return ((c0 >>> 5) * 0x1p26 + (c1 >>> 6)) * 0x1p-53;
  }
}
