package org.lorakernels.safetensors;

import java.util.Optional;
import org.lorakernels.DType;

/**
 * The element types of safetensors files. A tensor of any of them can be listed and its bytes
 * copied; those with a {@link #dtype()} can be computed with.
 *
 * <p>The order of the constants is the library's, and the order of tensors in a file: they are laid
 * out from the last constant to the first, so that every tensor is aligned to its elements.
 */
public enum SafetensorsDtype {
  /** One byte, 0 or 1. */
  BOOL(8),
  /** 4-bit float of the microscaling formats. */
  F4(4),
  /** 6-bit float of the microscaling formats. */
  F6_E2M3(6),
  /** 6-bit float of the microscaling formats. */
  F6_E3M2(6),
  /** Unsigned byte. */
  U8(8, DType.U8),
  /** Signed byte. */
  I8(8),
  /** 8-bit float. */
  F8_E5M2(8),
  /** 8-bit float. */
  F8_E4M3(8),
  /** 8-bit exponent of the microscaling formats. */
  F8_E8M0(8),
  /** 8-bit float without infinities and negative zero. */
  F8_E4M3FNUZ(8),
  /** 8-bit float without infinities and negative zero. */
  F8_E5M2FNUZ(8),
  /** Signed 16-bit integer. */
  I16(16),
  /** Unsigned 16-bit integer. */
  U16(16),
  /** IEEE 754 half precision. */
  F16(16, DType.F16),
  /** The upper half of a float. */
  BF16(16, DType.BF16),
  /** Signed 32-bit integer. */
  I32(32, DType.I32),
  /** Unsigned 32-bit integer. */
  U32(32),
  /** IEEE 754 single precision. */
  F32(32, DType.F32),
  /** Complex number of two floats. */
  C64(64),
  /** IEEE 754 double precision. */
  F64(64),
  /** Signed 64-bit integer. */
  I64(64),
  /** Unsigned 64-bit integer. */
  U64(64);

  private final int bits;
  private final DType dtype;

  SafetensorsDtype(int bits) {
    this(bits, null);
  }

  SafetensorsDtype(int bits, DType dtype) {
    this.bits = bits;
    this.dtype = dtype;
  }

  /** The type of a tensor's elements. */
  public static SafetensorsDtype of(DType dtype) {
    return switch (dtype) {
      case F32 -> F32;
      case BF16 -> BF16;
      case F16 -> F16;
      case U8 -> U8;
      case I32 -> I32;
    };
  }

  /** The type of the given name, empty if there is none. */
  static Optional<SafetensorsDtype> named(String name) {
    for (SafetensorsDtype dtype : values()) {
      if (dtype.name().equals(name)) {
        return Optional.of(dtype);
      }
    }
    return Optional.empty();
  }

  /** Bits of one element. */
  public int bits() {
    return bits;
  }

  /** The type to compute with, empty where this library has none. */
  public Optional<DType> dtype() {
    return Optional.ofNullable(dtype);
  }

  /**
   * Bytes of a tensor.
   *
   * @throws ArithmeticException if they exceed 63 bits, or the last byte is not full
   */
  long byteSize(long[] shape) {
    long size = bits;
    for (long dimension : shape) {
      size = Math.multiplyExact(size, dimension);
    }
    if (size % Byte.SIZE != 0) {
      throw new ArithmeticException(size + " bits are not whole bytes");
    }
    return size / Byte.SIZE;
  }
}
