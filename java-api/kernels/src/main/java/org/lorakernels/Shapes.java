package org.lorakernels;

import java.util.Arrays;

/** Arithmetic and checks of shapes. */
final class Shapes {
  private Shapes() {}

  /** Product of all dimensions but the last. */
  static long rows(long[] shape) {
    long rows = 1;
    for (int i = 0; i < shape.length - 1; i++) {
      rows *= shape[i];
    }
    return rows;
  }

  /** Number of elements; throws for negative sizes and for products beyond 2^62. */
  static long count(String operation, long[] shape) {
    long count = 1;
    for (long size : shape) {
      if (size < 0) {
        throw new InvalidArgumentException(
            operation + ": sizes must be at least 0, but the shape is " + Arrays.toString(shape));
      }
      count = Math.multiplyHigh(count, size) != 0 || count * size > 1L << 59 ? -1 : count * size;
      if (count < 0) {
        throw new InvalidArgumentException(
            operation + ": at most 2^59 elements, but the shape is " + Arrays.toString(shape));
      }
    }
    return count;
  }

  static long bytes(String operation, DType dtype, long[] shape) {
    return count(operation, shape) * dtype.bytes();
  }

  static void requireCount(String operation, long values, long[] shape) {
    long count = count(operation, shape);
    if (count != values) {
      throw new ShapeMismatchException(
          operation
              + ": shape "
              + Arrays.toString(shape)
              + " has "
              + count
              + " elements, but "
              + values
              + " were given");
    }
  }

  static void requireSame(String operation, String argument, Tensor actual, Tensor expected) {
    if (actual.rows() != expected.rows() || actual.cols() != expected.cols()) {
      throw new ShapeMismatchException(
          operation
              + ": "
              + argument
              + " must be "
              + Arrays.toString(expected.shape())
              + ", but is "
              + actual);
    }
  }

  static void requireRange(String operation, String what, long from, long to, long size) {
    if (from < 0 || to < from || to > size) {
      throw new InvalidArgumentException(
          operation
              + ": "
              + what
              + " must be in 0 ... "
              + size
              + ", but are "
              + from
              + " ... "
              + to);
    }
  }

  /** Offset in elements of an index; throws when it is out of range. */
  static long offset(String operation, long[] index, long[] shape, long rowStride) {
    boolean fits = index.length == shape.length;
    long row = 0;
    for (int i = 0; fits && i < shape.length; i++) {
      fits = index[i] >= 0 && index[i] < shape[i];
      if (i < shape.length - 1) {
        row = row * shape[i] + index[i];
      }
    }
    if (!fits) {
      throw new InvalidArgumentException(
          operation
              + ": index "
              + Arrays.toString(index)
              + " is outside the shape "
              + Arrays.toString(shape));
    }
    return shape.length == 0 ? 0 : row * rowStride + index[index.length - 1];
  }

  /** {@code F32 [2, 3]}. */
  static String describe(DType dtype, long[] shape) {
    return dtype + " " + Arrays.toString(shape);
  }
}
