package org.lorakernels;

import java.util.Arrays;
import org.lorakernels.bindings.lk_weight;

/**
 * A weight [rows, cols] in 4 bits, with its scales. Owns the tensors that hold them.
 *
 * <p>Blocks run over the flattened weight; element 2i is the high nibble of byte i. {@link
 * Nf4Format} says which code book and block size.
 */
public final class Nf4Tensor extends NativeOwner implements Weight {
  private final Nf4Format format;
  private final DType sourceDtype;
  private final long[] shape;
  private final Tensor packed;
  private final Tensor absmax;
  private final Tensor nestedAbsmax;
  private final Tensor nestedCode;
  private final lk_weight descriptor;

  private Nf4Tensor(
      Nf4Format format,
      DType sourceDtype,
      long[] shape,
      Tensor packed,
      Tensor absmax,
      Tensor nestedAbsmax,
      Tensor nestedCode,
      float nestedOffset) {
    this.format = format;
    this.sourceDtype = sourceDtype;
    this.shape = shape;
    this.packed = packed;
    this.absmax = absmax;
    this.nestedAbsmax = nestedAbsmax;
    this.nestedCode = nestedCode;
    descriptor = new lk_weight(NativeLibrary.descriptorMemory(lk_weight.class, 1));
    descriptor.rows(shape[0]).cols(shape[1]).data(packed.address());
    descriptor.format(format.nativeFormat()).block_size(format.blockSize());
    if (nestedAbsmax == null) {
      descriptor.absmax(absmax.address());
    } else {
      descriptor.absmax_codes(absmax.address()).nested_absmax(nestedAbsmax.address());
      descriptor.nested_block_size(Nf4Format.NESTED_BLOCK_SIZE).nested_offset(nestedOffset);
      descriptor.nested_code(nestedCode == null ? 0 : nestedCode.address());
    }
    own(
        "4-bit weight " + this,
        () -> {
          packed.close();
          absmax.close();
          if (nestedAbsmax != null) {
            nestedAbsmax.close();
          }
          if (nestedCode != null) {
            nestedCode.close();
          }
        });
  }

  /**
   * Room for a quantised weight, to be filled by {@link LoraKernels#quantize(Tensor, Nf4Tensor)}.
   *
   * @param device where
   * @param format how it will be stored
   * @param sourceDtype dtype of the weight that will be quantised: F32, BF16 or F16
   * @param shape [rows, cols]
   */
  public static Nf4Tensor allocate(
      Device device, Nf4Format format, DType sourceDtype, long... shape) {
    requireMatrix("Nf4Tensor.allocate", shape);
    long elements = Shapes.count("Nf4Tensor.allocate", shape);
    long blocks = format.blockCount(elements);
    Tensor packed = null;
    Tensor absmax = null;
    try {
      packed = Tensor.zeros(device, DType.U8, (elements + 1) / 2, 1);
      absmax = Tensor.zeros(device, format.isDoubleQuantized() ? DType.U8 : DType.F32, blocks);
      Tensor nested =
          format.isDoubleQuantized()
              ? Tensor.zeros(device, DType.F32, format.nestedBlockCount(elements))
              : null;
      return new Nf4Tensor(format, sourceDtype, shape.clone(), packed, absmax, nested, null, 0f);
    } catch (RuntimeException failure) {
      closeAll(packed, absmax);
      throw failure;
    }
  }

  /**
   * A weight that is already quantised, from its parts, which it takes over (they are closed with
   * it).
   *
   * @param format how it is stored
   * @param sourceDtype dtype of the weight that was quantised
   * @param shape [rows, cols]
   * @param packed U8 [(rows * cols + 1) / 2] or [.., 1]
   * @param absmax F32 [blocks]; double-quantised: U8 [blocks]
   * @param nestedAbsmax double-quantised: F32 [ceil(blocks / 256)]; otherwise null
   * @param nestedCode the F32 [256] map of the codes of {@code absmax}; null for the standard one
   * @param nestedOffset double-quantised: the mean of the scales
   */
  public static Nf4Tensor of(
      Nf4Format format,
      DType sourceDtype,
      long[] shape,
      Tensor packed,
      Tensor absmax,
      Tensor nestedAbsmax,
      Tensor nestedCode,
      float nestedOffset) {
    String operation = "Nf4Tensor.of";
    requireMatrix(operation, shape);
    long elements = Shapes.count(operation, shape);
    boolean nested = format.isDoubleQuantized();
    requirePart(operation, "packed", packed, DType.U8, (elements + 1) / 2);
    requirePart(
        operation, "absmax", absmax, nested ? DType.U8 : DType.F32, format.blockCount(elements));
    if (nested != (nestedAbsmax != null)) {
      throw new InvalidArgumentException(
          operation
              + ": nestedAbsmax must "
              + (nested ? "not be null" : "be null")
              + " for "
              + format);
    }
    if (nested) {
      requirePart(
          operation, "nestedAbsmax", nestedAbsmax, DType.F32, format.nestedBlockCount(elements));
      if (nestedCode != null) {
        requirePart(operation, "nestedCode", nestedCode, DType.F32, 256);
      }
    } else if (nestedCode != null) {
      throw new InvalidArgumentException(operation + ": nestedCode must be null for " + format);
    }
    for (Tensor part : new Tensor[] {absmax, nestedAbsmax, nestedCode}) {
      if (part != null) {
        Checks.sameDevice(operation, "a part", part.device(), packed.device());
      }
    }
    return new Nf4Tensor(
        format, sourceDtype, shape.clone(), packed, absmax, nestedAbsmax, nestedCode, nestedOffset);
  }

  private static void requireMatrix(String operation, long[] shape) {
    if (shape.length != 2) {
      throw new ShapeMismatchException(
          operation
              + ": a weight must have 2 dimensions, [rows, cols], but the shape is "
              + Arrays.toString(shape));
    }
  }

  private static void requirePart(
      String operation, String name, Tensor part, DType dtype, long count) {
    if (part.dtype() != dtype || part.elementCount() != count || !part.isContiguous()) {
      throw new ShapeMismatchException(
          operation
              + ": "
              + name
              + " must be "
              + dtype
              + " with "
              + count
              + " contiguous elements, but is "
              + part);
    }
  }

  private static void closeAll(Tensor... tensors) {
    for (Tensor tensor : tensors) {
      if (tensor != null) {
        tensor.close();
      }
    }
  }

  /** How it is stored. */
  public Nf4Format format() {
    return format;
  }

  @Override
  public DType sourceDtype() {
    return sourceDtype;
  }

  /** [rows, cols]; a copy. */
  public long[] shape() {
    return shape.clone();
  }

  @Override
  public long rows() {
    return shape[0];
  }

  @Override
  public long cols() {
    return shape[1];
  }

  @Override
  public Device device() {
    return packed.device();
  }

  /** Number of elements. */
  public long elementCount() {
    return shape[0] * shape[1];
  }

  /** Bytes of the codes and all scales. */
  @Override
  public long byteSize() {
    return packed.byteSize()
        + absmax.byteSize()
        + (nestedAbsmax == null ? 0 : nestedAbsmax.byteSize());
  }

  /** The codes, U8, two an element; owned by this weight. */
  public Tensor packed() {
    return packed;
  }

  /** The scales: F32, or U8 codes of them when double-quantised; owned by this weight. */
  public Tensor absmax() {
    return absmax;
  }

  /** Double-quantised: the scales of the scales, F32; otherwise null. Owned by this weight. */
  public Tensor nestedAbsmax() {
    return nestedAbsmax;
  }

  /**
   * Double-quantised: the map of the scales' codes, F32 [256], where it is not the standard one;
   * otherwise null.
   */
  public Tensor nestedCode() {
    return nestedCode;
  }

  /** Double-quantised: the mean of the scales; otherwise 0. */
  public float nestedOffset() {
    return descriptor.nested_offset();
  }

  lk_weight descriptor() {
    return descriptor;
  }

  @Override
  public String toString() {
    return format + " " + Arrays.toString(shape);
  }
}
