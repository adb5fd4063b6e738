package org.lorakernels;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.lorakernels.bindings.global.native_kernels;
import org.lorakernels.bindings.lk_tensor;
import org.lorakernels.bindings.lk_weight;

/**
 * A dense array of numbers on a {@link Device}: row-major, any number of dimensions, seen by
 * operations as a matrix [rows = product of all dimensions but the last, cols = last dimension].
 *
 * <p>A tensor owns its memory, or shares it with the tensors that it is a view of; memory is
 * released when the last of them is closed. Tensors are not synchronised.
 */
public final class Tensor extends NativeOwner implements Weight {
  private static final int STAGING_FLOATS = 1 << 16;

  /** Between arrays and devices; kept, since direct memory is freed long after its last use. */
  private static final ThreadLocal<ByteBuffer> STAGING =
      ThreadLocal.withInitial(
          () ->
              ByteBuffer.allocateDirect(STAGING_FLOATS * Float.BYTES)
                  .order(ByteOrder.nativeOrder()));

  private final Memory memory;
  private final DType dtype;
  private final long[] shape;
  private final long rows;
  private final long cols;
  private final long rowStride;
  private final lk_tensor descriptor;
  private lk_weight weightDescriptor; // made on first use as a weight

  /** Takes over one use of {@code memory}. */
  private Tensor(Memory memory, long address, DType dtype, long[] shape, long rowStride) {
    this.memory = memory;
    this.dtype = dtype;
    this.shape = shape;
    this.cols = shape.length == 0 ? 1 : shape[shape.length - 1];
    this.rows = Shapes.rows(shape);
    this.rowStride = rowStride;
    descriptor = new lk_tensor(NativeLibrary.descriptorMemory(lk_tensor.class, 1));
    descriptor.data(address);
    describe(descriptor);
    own("tensor " + this, memory.lifetime::release);
  }

  // ---- making
  // ------------------------------------------------------------------------------------------------------------

  /**
   * A new tensor of zeros.
   *
   * @param device where
   * @param dtype type of the elements
   * @param shape sizes, each at least 0; none for a scalar
   * @throws DeviceOutOfMemoryException where memory does not suffice
   */
  public static Tensor zeros(Device device, DType dtype, long... shape) {
    return allocate("Tensor.zeros", device, dtype, shape.clone());
  }

  /**
   * A new F32 tensor with a copy of values.
   *
   * @param device where
   * @param values the elements, row-major
   * @param shape sizes, whose product is the number of values
   */
  public static Tensor of(Device device, float[] values, long... shape) {
    Shapes.requireCount("Tensor.of", values.length, shape);
    Tensor tensor = allocate("Tensor.of", device, DType.F32, shape.clone());
    tensor.copyFrom(values);
    return tensor;
  }

  /**
   * A tensor over the memory of a direct buffer, from its position, without a copy. The buffer
   * stays reachable as long as the tensor is open; both see what the other writes.
   *
   * @param device a CPU device
   * @param buffer direct, in native byte order, aligned to the elements
   * @param dtype type of the elements
   * @param shape sizes; the elements must fit into what remains of the buffer
   */
  public static Tensor wrap(Device device, ByteBuffer buffer, DType dtype, long... shape) {
    if (!buffer.isDirect() || buffer.order() != ByteOrder.nativeOrder()) {
      throw new InvalidArgumentException(
          "Tensor.wrap: buffer must be direct and in native byte order, but is "
              + (buffer.isDirect() ? "direct" : "on the heap")
              + " and "
              + buffer.order());
    }
    long bytes = Shapes.bytes("Tensor.wrap", dtype, shape);
    if (bytes > buffer.remaining()) {
      throw new ShapeMismatchException(
          "Tensor.wrap: buffer must have "
              + bytes
              + " bytes for "
              + Shapes.describe(dtype, shape)
              + ", but "
              + buffer.remaining()
              + " remain");
    }
    long address = new BytePointer(buffer).address() + buffer.position();
    return wrap(device, address, buffer, dtype, shape);
  }

  /**
   * A tensor over memory of a JavaCPP pointer, from its position, without a copy. The pointer stays
   * reachable as long as the tensor is open, but must not be deallocated before the tensor is
   * closed.
   *
   * @param device a CPU device
   * @param pointer host memory that holds the elements, aligned to them
   * @param dtype type of the elements
   * @param shape sizes
   */
  public static Tensor wrap(Device device, Pointer pointer, DType dtype, long... shape) {
    if (pointer.isNull()) {
      throw new InvalidArgumentException("Tensor.wrap: pointer must not be null, but is");
    }
    long address = pointer.address() + pointer.position() * pointer.sizeof();
    return wrap(device, address, pointer, dtype, shape);
  }

  private static Tensor wrap(Device device, long address, Object owner, DType dtype, long[] shape) {
    long bytes = Shapes.bytes("Tensor.wrap", dtype, shape);
    if (address % dtype.bytes() != 0) {
      throw new InvalidArgumentException(
          "Tensor.wrap: memory must be aligned to its elements ("
              + dtype.bytes()
              + " bytes), but starts at 0x"
              + Long.toHexString(address)
              + "; copy it into Tensor.zeros");
    }
    Memory memory = Memory.borrow("Tensor.wrap", device, address, bytes, owner, () -> {});
    return contiguous(memory, address, dtype, shape.clone());
  }

  static Tensor allocate(String operation, Device device, DType dtype, long[] shape) {
    Memory memory = Memory.allocate(operation, device, Shapes.bytes(operation, dtype, shape));
    return contiguous(memory, memory.address, dtype, shape);
  }

  /** Takes over one use of {@code memory}. */
  static Tensor contiguous(Memory memory, long address, DType dtype, long[] shape) {
    return new Tensor(
        memory, address, dtype, shape, shape.length == 0 ? 1 : shape[shape.length - 1]);
  }

  // ---- what it is
  // --------------------------------------------------------------------------------------------------------

  /** Type of the elements. */
  public DType dtype() {
    return dtype;
  }

  @Override
  public DType sourceDtype() {
    return dtype;
  }

  /** Sizes of the dimensions; a copy. */
  public long[] shape() {
    return shape.clone();
  }

  /** Product of all dimensions but the last; 1 for a vector. */
  @Override
  public long rows() {
    return rows;
  }

  /** The last dimension; 1 for a scalar. */
  @Override
  public long cols() {
    return cols;
  }

  /** Elements from the start of a row to the start of the next. */
  public long rowStride() {
    return rowStride;
  }

  /** Number of elements. */
  public long elementCount() {
    return rows * cols;
  }

  /** Bytes of the elements, without gaps between rows. */
  @Override
  public long byteSize() {
    return elementCount() * dtype.bytes();
  }

  /** Whether rows follow one another without gaps. */
  public boolean isContiguous() {
    return rowStride == cols || rows <= 1;
  }

  @Override
  public Device device() {
    return memory.device;
  }

  lk_tensor descriptor() {
    return descriptor;
  }

  /** Fills a descriptor that is part of another struct or of an array. */
  void describe(lk_tensor target) {
    target.data(address()).rows(rows).cols(cols).row_stride(rowStride).dtype(dtype.ordinal());
  }

  /** Where element 0 lies on the device. */
  long address() {
    return descriptor.data();
  }

  /** This tensor as a dense weight. */
  lk_weight weightDescriptor() {
    lk_weight weight = weightDescriptor;
    if (weight == null) {
      weight = new lk_weight(NativeLibrary.descriptorMemory(lk_weight.class, 1));
      weight.rows(rows).cols(cols).data(address()).row_stride(rowStride);
      weight.format(native_kernels.LK_DENSE).dtype(dtype.ordinal());
      weightDescriptor = weight;
    }
    return weight;
  }

  // ---- views
  // -------------------------------------------------------------------------------------------------------------

  /**
   * Rows {@code from} (inclusive) to {@code to} (exclusive) as a matrix that shares this tensor's
   * memory. Closed on its own.
   */
  public Tensor slice(long from, long to) {
    Shapes.requireRange("slice", "rows", from, to, rows);
    return share("slice", from * rowStride, new long[] {to - from, cols}, rowStride);
  }

  /**
   * Columns {@code from} (inclusive) to {@code to} (exclusive) of every row, as a matrix that
   * shares this tensor's memory.
   */
  public Tensor columns(long from, long to) {
    Shapes.requireRange("columns", "columns", from, to, cols);
    return share("columns", from, new long[] {rows, to - from}, rowStride);
  }

  /**
   * The same elements in another shape, sharing this tensor's memory, which must be contiguous.
   * Closed on its own.
   */
  public Tensor view(long... newShape) {
    Shapes.requireCount("view", elementCount(), newShape);
    requireContiguous("view");
    long newCols = newShape.length == 0 ? 1 : newShape[newShape.length - 1];
    return share("view", 0, newShape.clone(), newCols);
  }

  private Tensor share(String operation, long offset, long[] newShape, long newStride) {
    acquireUse(operation);
    try {
      if (!memory.lifetime.acquire()) {
        throw new ClosedException(operation + ": " + this + " is closed");
      }
      return new Tensor(memory, address() + offset * dtype.bytes(), dtype, newShape, newStride);
    } finally {
      releaseUse();
    }
  }

  private void requireContiguous(String operation) {
    if (!isContiguous()) {
      throw new InvalidArgumentException(
          operation
              + ": needs a contiguous tensor, but is "
              + this
              + " with row stride "
              + rowStride
              + "; use copy()");
    }
  }

  // ---- values
  // ------------------------------------------------------------------------------------------------------------

  /** A contiguous copy on the same device. */
  public Tensor copy() {
    return to(dtype);
  }

  /** A contiguous copy of another float dtype, rounded to nearest even. */
  public Tensor to(DType newDtype) {
    Tensor result = allocate("to", device(), newDtype, shape);
    try {
      result.copyFrom(this);
      return result;
    } catch (RuntimeException failure) {
      result.close();
      throw failure;
    }
  }

  /** Takes the values of a tensor of the same shape and device, converting between float dtypes. */
  public void copyFrom(Tensor source) {
    if (dtype == source.dtype && !dtype.isFloat()) {
      copyBytes(source);
      return;
    }
    LoraKernels.convert(source, this);
  }

  /** Integer tensors: bytes as they are. */
  private void copyBytes(Tensor source) {
    Shapes.requireSame("copyFrom", "source", source, this);
    requireContiguous("copyFrom");
    source.requireContiguous("copyFrom");
    acquireAll("copyFrom", this, source, null, null, null);
    try {
      NativeLibrary.check(
          "copyFrom",
          native_kernels.lk_copy_to_device(
              device().handle(), address(), source.address(), byteSize()));
    } finally {
      releaseAll(this, source, null, null, null);
    }
  }

  /** Takes values, row-major, rounded to this tensor's float dtype. */
  public void copyFrom(float[] values) {
    Shapes.requireCount("copyFrom", values.length, shape);
    if (dtype == DType.F32 && isContiguous()) {
      transferFloats(values, true);
      return;
    }
    try (Tensor f32 = Tensor.of(device(), values, shape)) {
      copyFrom(f32);
    }
  }

  /** The values in F32, row-major. */
  public float[] toFloatArray() {
    if (elementCount() > Integer.MAX_VALUE - 8) {
      throw new UnsupportedException(
          "toFloatArray: a Java array holds fewer than 2^31 values, but this is " + this);
    }
    if (dtype == DType.F32 && isContiguous()) {
      float[] values = new float[(int) elementCount()];
      transferFloats(values, false);
      return values;
    }
    try (Tensor f32 = to(DType.F32)) {
      return f32.toFloatArray();
    }
  }

  /** Between a contiguous F32 tensor and an array, in pieces through a direct buffer. */
  private void transferFloats(float[] values, boolean toDevice) {
    ByteBuffer buffer = STAGING.get();
    for (int done = 0; done < values.length; done += STAGING_FLOATS) {
      int count = Math.min(STAGING_FLOATS, values.length - done);
      buffer.clear().limit(count * 4);
      if (toDevice) {
        buffer.asFloatBuffer().put(values, done, count);
        transfer("copyFrom", buffer, done * 4L, true);
      } else {
        transfer("toFloatArray", buffer, done * 4L, false);
        buffer.asFloatBuffer().get(values, done, count);
      }
    }
  }

  /**
   * Takes the bytes that remain in a buffer, which must be as many as this contiguous tensor has.
   */
  public void copyFrom(ByteBuffer source) {
    transferAll("copyFrom", source, true);
  }

  /** Puts the bytes of this contiguous tensor into a buffer, from its position, which moves. */
  public void copyTo(ByteBuffer target) {
    transferAll("copyTo", target, false);
  }

  private void transferAll(String operation, ByteBuffer buffer, boolean toDevice) {
    requireContiguous(operation);
    if (toDevice ? buffer.remaining() != byteSize() : buffer.remaining() < byteSize()) {
      throw new ShapeMismatchException(
          operation
              + ": buffer must have "
              + byteSize()
              + " bytes for "
              + this
              + ", but "
              + buffer.remaining()
              + " remain");
    }
    int size = (int) byteSize();
    if (buffer.isDirect()) {
      transfer(operation, buffer.slice().limit(size), 0, toDevice);
      buffer.position(buffer.position() + size);
      return;
    }
    ByteBuffer staging = ByteBuffer.allocateDirect(size);
    if (toDevice) {
      staging.put(buffer).flip();
    }
    transfer(operation, staging, 0, toDevice);
    if (!toDevice) {
      buffer.put(staging);
    }
  }

  /** All that remains in a direct buffer, to or from byte {@code offset} of this tensor. */
  private void transfer(String operation, ByteBuffer direct, long offset, boolean toDevice) {
    acquireUse(operation);
    try {
      long bytes = direct.remaining();
      long host = new BytePointer(direct).address() + direct.position();
      NativeLibrary.check(
          operation,
          toDevice
              ? native_kernels.lk_copy_to_device(device().handle(), address() + offset, host, bytes)
              : native_kernels.lk_copy_to_host(device().handle(), host, address() + offset, bytes));
      java.lang.ref.Reference.reachabilityFence(direct);
    } finally {
      releaseUse();
    }
  }

  /** One element as a float. For inspection; slow. */
  public float get(long... index) {
    try (Tensor element = element("get", index)) {
      return element.toFloatArray()[0];
    }
  }

  /** Sets one element. For small changes; slow. */
  public void set(float value, long... index) {
    try (Tensor element = element("set", index)) {
      element.copyFrom(new float[] {value});
    }
  }

  private Tensor element(String operation, long[] index) {
    return share(operation, Shapes.offset(operation, index, shape, rowStride), new long[] {1}, 1);
  }

  /** Sets every element. */
  public void fill(float value) {
    long runs = isContiguous() ? 1 : rows;
    long length = isContiguous() ? elementCount() : cols;
    if (dtype == DType.F32) {
      fillFloats(value, runs, length);
      return;
    }
    float[] piece = new float[(int) Math.min(length, STAGING_FLOATS)];
    Arrays.fill(piece, value);
    for (long run = 0; run < runs; run++) {
      for (long done = 0; done < length; done += piece.length) {
        long count = Math.min(piece.length, length - done);
        try (Tensor part = share("fill", run * rowStride + done, new long[] {count}, count)) {
          part.copyFrom(count == piece.length ? piece : Arrays.copyOf(piece, (int) count));
        }
      }
    }
  }

  private void fillFloats(float value, long runs, long length) {
    ByteBuffer buffer = STAGING.get().clear();
    int piece = (int) Math.min(length, STAGING_FLOATS);
    for (int i = 0; i < piece; i++) {
      buffer.putFloat(i * Float.BYTES, value);
    }
    for (long run = 0; run < runs; run++) {
      for (long done = 0; done < length; done += piece) {
        buffer.clear().limit((int) Math.min(piece, length - done) * Float.BYTES);
        transfer("fill", buffer, (run * rowStride + done) * Float.BYTES, true);
      }
    }
  }

  /**
   * The memory of a contiguous tensor of a CPU device as a direct buffer in native order, without a
   * copy.
   *
   * <p>Valid while the tensor is open: after {@link #close} the buffer must not be touched.
   *
   * @throws UnsupportedException for 2 GiB or more, or device memory
   */
  public ByteBuffer asByteBuffer() {
    requireContiguous("asByteBuffer");
    if (device().backend() != Backend.CPU || byteSize() > Integer.MAX_VALUE) {
      throw new UnsupportedException(
          "asByteBuffer: needs a tensor of a CPU device with less than 2 GiB, but is " + this);
    }
    acquireUse("asByteBuffer");
    try {
      return new HostMemory(address(), byteSize()).asByteBuffer().order(ByteOrder.nativeOrder());
    } finally {
      releaseUse();
    }
  }

  /**
   * The memory of a tensor of a CPU device for a native library that takes JavaCPP pointers; valid
   * while the tensor is open.
   */
  FloatPointer asFloatPointer() {
    return new FloatPointer(new HostMemory(address(), elementCount()));
  }

  /** A pointer at an address, without ownership. */
  static final class HostMemory extends BytePointer {
    HostMemory(long address, long capacity) {
      this.address = address;
      this.limit = capacity;
      this.capacity = capacity;
    }
  }

  @Override
  public String toString() {
    return Shapes.describe(dtype, shape);
  }
}
