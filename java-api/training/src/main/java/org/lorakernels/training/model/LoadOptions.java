package org.lorakernels.training.model;

import java.util.Objects;
import java.util.Optional;
import org.lorakernels.DType;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Nf4Format;

/**
 * How the weights of a checkpoint are held and computed with. Immutable; start from {@link
 * #asStored}:
 *
 * <pre>{@code LoadOptions.asStored().bits(4).doubleQuantized(true).computeDtype(DType.BF16)}</pre>
 */
public final class LoadOptions {
  private static final LoadOptions AS_STORED = new LoadOptions(0, Nf4Format.plain(), null);

  private final int bits; // 0: as stored
  private final Nf4Format format;
  private final DType computeDtype; // null: by the weights

  private LoadOptions(int bits, Nf4Format format, DType computeDtype) {
    this.bits = bits;
    this.format = format;
    this.computeDtype = computeDtype;
  }

  /** Weights as they are stored, without a copy where that is possible. */
  public static LoadOptions asStored() {
    return AS_STORED;
  }

  /**
   * The same with weights of another size.
   *
   * @param newBits 4: the projections of decoder layers are quantised to NF4, the rest stays as it
   *     is stored (a checkpoint that is in 4 bits already stays as it is); 16: what is wider
   *     becomes BF16 (F16 where that is the compute type), 4-bit weights are dequantised; 32:
   *     everything becomes F32
   */
  public LoadOptions bits(int newBits) {
    if (newBits != 4 && newBits != 16 && newBits != 32) {
      throw new InvalidArgumentException(
          "LoadOptions: bits must be 4, 16 or 32, but are " + newBits);
    }
    return new LoadOptions(newBits, format, computeDtype);
  }

  /** The same with quantised scales, or F32 ones (the default), where weights are quantised. */
  public LoadOptions doubleQuantized(boolean on) {
    Nf4Format base = on ? Nf4Format.doubleQuantized() : Nf4Format.plain();
    return new LoadOptions(bits, base.withBlockSize(format.blockSize()), computeDtype);
  }

  /**
   * The same with another block size where weights are quantised.
   *
   * @param elements a power of two in 32 ... 4096; default 64
   */
  public LoadOptions blockSize(int elements) {
    return new LoadOptions(bits, format.withBlockSize(elements), computeDtype);
  }

  /**
   * The same with another type of activations.
   *
   * @param dtype F32, BF16 or F16; default: the type of the embedding
   */
  public LoadOptions computeDtype(DType dtype) {
    Objects.requireNonNull(dtype, "dtype");
    if (!dtype.isFloat()) {
      throw new InvalidArgumentException(
          "LoadOptions: the compute type must be F32, BF16 or F16, but is " + dtype);
    }
    return new LoadOptions(bits, format, dtype);
  }

  /** 4, 16 or 32; empty: as stored. */
  public Optional<Integer> bits() {
    return bits == 0 ? Optional.empty() : Optional.of(bits);
  }

  /** How weights are quantised where {@link #bits()} is 4. */
  public Nf4Format format() {
    return format;
  }

  /** The type of activations; empty: that of the embedding. */
  public Optional<DType> computeDtype() {
    return Optional.ofNullable(computeDtype);
  }

  /** The type in which a dense weight stored in {@code stored} is held. */
  public DType held(DType stored) {
    return switch (bits) {
      case 32 -> DType.F32;
      case 16 -> stored == DType.F32 ? half() : stored;
      default -> stored;
    };
  }

  private DType half() {
    return computeDtype == DType.F16 ? DType.F16 : DType.BF16;
  }

  @Override
  public String toString() {
    return (bits == 0 ? "as stored" : bits == 4 ? format.toString() : bits + " bits")
        + (computeDtype == null ? "" : ", computed in " + computeDtype);
  }
}
