package org.lorakernels.safetensors;

import java.util.Arrays;
import java.util.Objects;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Tensor;

/** Name, element type and shape of a tensor in a file; immutable. */
public final class TensorSpec {
  private final String name;
  private final SafetensorsDtype dtype;
  private final long[] shape;
  private final long byteSize;

  /**
   * A tensor to be written.
   *
   * @param name any string but {@code __metadata__}
   * @param dtype element type
   * @param shape dimensions, each at least 0; none for a scalar
   * @throws InvalidArgumentException if a dimension is negative, the product exceeds 63 bits, or
   *     the name is reserved
   */
  public TensorSpec(String name, SafetensorsDtype dtype, long... shape) {
    this.name = Objects.requireNonNull(name, "name");
    this.dtype = Objects.requireNonNull(dtype, "dtype");
    this.shape = shape.clone();
    if (name.equals(SafetensorsHeader.METADATA)) {
      throw new InvalidArgumentException(
          "safetensors: a tensor may not be named \"" + name + "\", which the format reserves");
    }
    if (Arrays.stream(shape).anyMatch(dimension -> dimension < 0)) {
      throw new InvalidArgumentException(
          "safetensors: \""
              + name
              + "\": dimensions must be at least 0, but the shape is "
              + Arrays.toString(shape));
    }
    try {
      this.byteSize = dtype.byteSize(shape);
    } catch (ArithmeticException e) {
      throw new InvalidArgumentException(
          "safetensors: \""
              + name
              + "\": "
              + dtype
              + " "
              + Arrays.toString(shape)
              + " must be whole bytes, fewer than 2^63: "
              + e.getMessage());
    }
  }

  /** What is needed to write {@code tensor} under {@code name}. */
  public static TensorSpec of(String name, Tensor tensor) {
    return new TensorSpec(name, SafetensorsDtype.of(tensor.dtype()), tensor.shape());
  }

  /** The tensor's name. */
  public String name() {
    return name;
  }

  /** Type of the elements. */
  public SafetensorsDtype dtype() {
    return dtype;
  }

  /** A copy of the dimensions; empty for a scalar. */
  public long[] shape() {
    return shape.clone();
  }

  /** The number of elements. */
  public long elementCount() {
    return Arrays.stream(shape).reduce(1, (a, b) -> a * b);
  }

  /** The number of bytes. */
  public long byteSize() {
    return byteSize;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TensorSpec spec
        && name.equals(spec.name)
        && dtype == spec.dtype
        && Arrays.equals(shape, spec.shape);
  }

  @Override
  public int hashCode() {
    return Objects.hash(name, dtype, Arrays.hashCode(shape));
  }

  /** For messages: {@code "a.weight" F32 [2, 3]}. */
  @Override
  public String toString() {
    return "\"" + name + "\" " + dtype + " " + Arrays.toString(shape);
  }
}
