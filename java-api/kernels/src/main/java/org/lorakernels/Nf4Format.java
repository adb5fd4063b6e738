package org.lorakernels;

import org.lorakernels.bindings.global.native_kernels;

/**
 * How a weight is stored in 4 bits: code book, block size, and whether the scales are quantised too
 * (double quantisation). The layout is bitsandbytes' and Hugging Face's. Immutable.
 */
public final class Nf4Format {
  /** Scales (absmax values) in a block of double quantisation. */
  public static final int NESTED_BLOCK_SIZE = 256;

  /** Elements in a block where nothing else is said. */
  public static final int DEFAULT_BLOCK_SIZE = 64;

  private static final Nf4Format PLAIN = new Nf4Format(CodeBook.NF4, DEFAULT_BLOCK_SIZE, false);
  private static final Nf4Format DOUBLE_QUANTIZED =
      new Nf4Format(CodeBook.NF4, DEFAULT_BLOCK_SIZE, true);

  private final CodeBook codeBook;
  private final int blockSize;
  private final boolean doubleQuantized;

  private Nf4Format(CodeBook codeBook, int blockSize, boolean doubleQuantized) {
    this.codeBook = codeBook;
    this.blockSize = blockSize;
    this.doubleQuantized = doubleQuantized;
  }

  /** NF4 in blocks of 64 with an F32 scale each: 4.5 bits a weight. */
  public static Nf4Format plain() {
    return PLAIN;
  }

  /**
   * NF4 in blocks of 64 whose scales are quantised to 8 bits in blocks of 256: 4.127 bits a weight.
   */
  public static Nf4Format doubleQuantized() {
    return DOUBLE_QUANTIZED;
  }

  /**
   * The same with another block size.
   *
   * @param elements a power of two in 32 ... 4096
   */
  public Nf4Format withBlockSize(int elements) {
    if (elements < 32 || elements > 4096 || Integer.bitCount(elements) != 1) {
      throw new InvalidArgumentException(
          "Nf4Format: block size must be a power of two in 32 ... 4096, but is " + elements);
    }
    return new Nf4Format(codeBook, elements, doubleQuantized);
  }

  /** The same with another code book. */
  public Nf4Format withCodeBook(CodeBook newCodeBook) {
    return new Nf4Format(newCodeBook, blockSize, doubleQuantized);
  }

  /** The values that codes stand for. */
  public CodeBook codeBook() {
    return codeBook;
  }

  /** Elements of the flattened weight that share a scale. */
  public int blockSize() {
    return blockSize;
  }

  /** Whether scales are quantised to 8 bits. */
  public boolean isDoubleQuantized() {
    return doubleQuantized;
  }

  /** The 16 values of the code book, by code. */
  public float[] codeValues() {
    NativeLibrary.ensureLoaded();
    float[] values = new float[16];
    NativeLibrary.check("codeValues", native_kernels.lk_code_book(nativeFormat(), values));
    return values;
  }

  /**
   * The 256 values of the signed dynamic 8-bit map (Dettmers et al. 2021, arXiv:2110.02861) of
   * double quantisation.
   */
  public static float[] dynamicMap() {
    NativeLibrary.ensureLoaded();
    float[] values = new float[256];
    NativeLibrary.check("dynamicMap", native_kernels.lk_dynamic_map(values));
    return values;
  }

  int nativeFormat() {
    return codeBook == CodeBook.FP4 ? native_kernels.LK_FP4 : native_kernels.LK_NF4;
  }

  /** Number of blocks of a weight with that many elements. */
  long blockCount(long elements) {
    return (elements + blockSize - 1) / blockSize;
  }

  /** Number of blocks of scales. */
  long nestedBlockCount(long elements) {
    return (blockCount(elements) + NESTED_BLOCK_SIZE - 1) / NESTED_BLOCK_SIZE;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Nf4Format that
        && codeBook == that.codeBook
        && blockSize == that.blockSize
        && doubleQuantized == that.doubleQuantized;
  }

  @Override
  public int hashCode() {
    return java.util.Objects.hash(codeBook, blockSize, doubleQuantized);
  }

  @Override
  public String toString() {
    return codeBook + "/" + blockSize + (doubleQuantized ? " double-quantised" : "");
  }
}
