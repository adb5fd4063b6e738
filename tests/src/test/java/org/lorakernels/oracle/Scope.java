package org.lorakernels.oracle;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.Deque;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Tensor;
import org.lorakernels.golden.GoldenTensor;
import org.opentest4j.AssertionFailedError;

/**
 * A device of its own and everything that a test makes on it: closed together, last first. Closing
 * fails where the device still holds memory then, so every test that uses a scope is a leak test
 * too.
 */
public final class Scope implements AutoCloseable {
  private final Device device;
  private final Deque<Runnable> closers = new ArrayDeque<>();

  private Scope(Device device) {
    this.device = device;
  }

  public static Scope cpu() {
    return new Scope(Device.cpu());
  }

  /** On the device under test. */
  public static Scope open() {
    return new Scope(TestDevice.open());
  }

  public Device device() {
    return device;
  }

  public Tensor own(Tensor tensor) {
    closers.push(tensor::close);
    return tensor;
  }

  public Nf4Tensor own(Nf4Tensor tensor) {
    closers.push(tensor::close);
    return tensor;
  }

  public LoraAdapter own(LoraAdapter adapter) {
    closers.push(adapter::close);
    return adapter;
  }

  public PagedAdamW own(PagedAdamW optimizer) {
    closers.push(optimizer::close);
    return optimizer;
  }

  public Tensor zeros(DType dtype, long... shape) {
    return own(Tensor.zeros(device, dtype, shape));
  }

  /** The matrix in {@code precision}; its values must be exact there. */
  public Tensor tensor(Matrix matrix, Precision precision) {
    Tensor tensor = zeros(precision.dtype(), matrix.rows(), matrix.cols());
    float[] values = matrix.floats();
    for (int i = 0; i < values.length; i++) {
      if (values[i] != matrix.values()[i] || precision.round(values[i]) != values[i]) {
        throw new IllegalArgumentException(matrix.values()[i] + " is not exact in " + precision);
      }
    }
    tensor.copyFrom(values);
    return tensor;
  }

  /** One row, or null for null. */
  public Tensor row(double[] values, Precision precision) {
    return values == null ? null : tensor(new Matrix(1, values.length, values), precision);
  }

  /** A golden array, byte for byte. */
  public Tensor tensor(GoldenTensor golden) {
    return bytes(golden.dtype(), golden.bytes(), golden.shape());
  }

  /** A tensor with these little-endian bytes. */
  public Tensor bytes(DType dtype, byte[] content, long... shape) {
    Tensor tensor = zeros(dtype, shape);
    tensor.copyFrom(ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN));
    return tensor;
  }

  /** The bytes of a tensor, little-endian. */
  public static byte[] bytes(Tensor tensor) {
    ByteBuffer out =
        ByteBuffer.allocate(Math.toIntExact(tensor.byteSize())).order(ByteOrder.LITTLE_ENDIAN);
    tensor.copyTo(out);
    return out.array();
  }

  @Override
  public void close() {
    while (!closers.isEmpty()) closers.pop().run();
    long leaked = device.memory().allocatedBytes();
    device.close();
    if (leaked != 0)
      throw new AssertionFailedError(
          leaked + " bytes are still allocated after everything was closed");
  }
}
