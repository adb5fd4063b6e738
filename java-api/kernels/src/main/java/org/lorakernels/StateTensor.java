package org.lorakernels;

import java.nio.ByteBuffer;

/**
 * A part of an optimiser's states as a plain tensor, wherever its pages are. Valid as long as the
 * optimiser has the parameter.
 */
public final class StateTensor {
  private final PagedAdamW optimizer;
  private final String name;
  private final long tensor;
  private final int part;
  private final DType dtype;
  private final long[] shape;

  StateTensor(
      PagedAdamW optimizer, String name, long tensor, int part, DType dtype, long... shape) {
    this.optimizer = optimizer;
    this.name = name;
    this.tensor = tensor;
    this.part = part;
    this.dtype = dtype;
    this.shape = shape.clone();
  }

  /**
   * The name of the parameter and torch's name of the state: {@code NAME.exp_avg}, {@code
   * NAME.exp_avg_sq}; for 8-bit states also {@code NAME.absmax1}, {@code NAME.absmax2}; {@code
   * NAME.master} where there is one.
   */
  public String name() {
    return name;
  }

  /** Type of the elements. */
  public DType dtype() {
    return dtype;
  }

  /** Sizes: those of the parameter, or the number of blocks. */
  public long[] shape() {
    return shape.clone();
  }

  /** Its size. */
  public long byteSize() {
    return Shapes.bytes("StateTensor", dtype, shape);
  }

  /**
   * Copies a range of bytes.
   *
   * @param from the first byte
   * @param target direct; filled from its position to its limit
   */
  public void copyTo(long from, ByteBuffer target) {
    if (!target.isDirect()) {
      throw new InvalidArgumentException("copyTo: target must be a direct buffer");
    }
    optimizer.read(this, from, target);
  }

  /** A copy on a device. */
  public Tensor copy(Device device) {
    Tensor copy = Tensor.zeros(device, dtype, shape);
    try {
      if (device.backend() == Backend.CPU) {
        optimizer.read(this, copy);
      } else {
        ByteBuffer host = ByteBuffer.allocateDirect(Math.toIntExact(byteSize()));
        optimizer.read(this, 0, host);
        copy.copyFrom(host.flip());
      }
      return copy;
    } catch (RuntimeException failure) {
      copy.close();
      throw failure;
    }
  }

  long tensor() {
    return tensor;
  }

  int part() {
    return part;
  }

  @Override
  public String toString() {
    return "state " + name;
  }
}
