package org.lorakernels.golden;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.lorakernels.DType;
import org.lorakernels.oracle.Precision;

/** One array of a golden file: its dtype, shape and little-endian bytes. */
public record GoldenTensor(String name, DType dtype, long[] shape, byte[] bytes) {

  /** Entry {@code index} of the first dimension. */
  GoldenTensor row(int index) {
    int rowBytes = Math.toIntExact(bytes.length / shape[0]);
    byte[] part = Arrays.copyOfRange(bytes, index * rowBytes, (index + 1) * rowBytes);
    return new GoldenTensor(
        name + "[" + index + "]", dtype, Arrays.copyOfRange(shape, 1, shape.length), part);
  }

  public int count() {
    return bytes.length / dtype.bytes();
  }

  ByteBuffer buffer() {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The values, which are exact in float32 for every dtype here. */
  public float[] floats() {
    ByteBuffer source = buffer();
    float[] values = new float[count()];
    for (int i = 0; i < values.length; i++) values[i] = decode(source, i);
    return values;
  }

  public double[] doubles() {
    return Precision.widen(floats());
  }

  private float decode(ByteBuffer source, int i) {
    switch (dtype) {
      case F32:
        return source.getFloat(4 * i);
      case BF16:
        return Float.intBitsToFloat(source.getShort(2 * i) << 16);
      case F16:
        return Precision.decodeHalf(source.getShort(2 * i));
      case U8:
        return source.get(i) & 0xff;
      case I32:
        return source.getInt(4 * i);
      default:
        throw new IllegalStateException("no decoder for " + dtype);
    }
  }
}
