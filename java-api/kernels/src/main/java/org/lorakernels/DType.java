package org.lorakernels;

/** Type of the elements of a {@link Tensor}. */
public enum DType {
  /** IEEE 754 single precision. */
  F32(4),
  /** The upper half of an F32: 8 exponent and 7 mantissa bits. */
  BF16(2),
  /** IEEE 754 half precision. */
  F16(2),
  /** Unsigned bytes: packed 4-bit codes, codes of double quantisation. */
  U8(1),
  /** Signed 32-bit integers: token ids, labels. */
  I32(4);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Size of an element in bytes. */
  public int bytes() {
    return bytes;
  }

  /** Whether operations compute with it: F32, BF16 and F16. */
  public boolean isFloat() {
    return this == F32 || this == BF16 || this == F16;
  }
}
