package org.lorakernels;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.lorakernels.bindings.global.native_kernels;

/**
 * A file mapped read-only into memory, of any size. Tensors over it cost nothing until they are
 * read, and keep the mapping alive after {@link #close}. The file may be replaced by a rename while
 * it is mapped, but not shortened in place.
 */
public final class MappedFile extends NativeOwner {
  private final Path path;
  private final long address;
  private final long size;

  private MappedFile(Path path, long address, long size) {
    this.path = path;
    this.address = address;
    this.size = size;
    own("mapped file " + path, () -> native_kernels.lk_file_unmap(address, size));
  }

  /**
   * Maps a file.
   *
   * @throws CheckpointException where it cannot be opened or is not a regular file
   */
  public static MappedFile open(Path path) {
    NativeLibrary.ensureLoaded();
    long[] address = new long[1];
    long[] size = new long[1];
    int status = native_kernels.lk_file_map(path.toString(), address, size);
    if (status == native_kernels.LK_IO_ERROR) {
      throw new CheckpointException(path, native_kernels.lk_last_error().getString());
    }
    NativeLibrary.check("MappedFile.open", status);
    return new MappedFile(path, address[0], size[0]);
  }

  /** The file. */
  public Path path() {
    return path;
  }

  /** Its size in bytes when it was mapped. */
  public long size() {
    return size;
  }

  /**
   * A copy of a part of the file, whose pages then leave the memory of the process.
   *
   * @param offset first byte
   * @param length number of bytes
   */
  public ByteBuffer read(long offset, int length) {
    requireRange("read", offset, length);
    acquireUse("read");
    try {
      ByteBuffer copy = ByteBuffer.allocate(length);
      if (length > 0) { // a pointer of no capacity has a buffer without bounds
        copy.put(new Tensor.HostMemory(address + offset, length).asByteBuffer());
        evict("read", offset, length);
      }
      return copy.flip();
    } finally {
      releaseUse();
    }
  }

  /**
   * A tensor over a part of the file, without a copy. It must not be written to. Where the part is
   * not aligned to the elements, it is copied.
   *
   * @param device a CPU device
   * @param dtype type of the elements, little-endian in the file
   * @param offset first byte
   * @param shape sizes
   */
  public Tensor tensor(Device device, DType dtype, long offset, long... shape) {
    long bytes = Shapes.bytes("tensor", dtype, shape);
    requireRange("tensor", offset, bytes);
    acquireUse("tensor");
    boolean shared = false;
    try {
      if ((address + offset) % dtype.bytes() != 0) {
        Tensor copy = Tensor.zeros(device, dtype, shape);
        NativeLibrary.check(
            "tensor",
            native_kernels.lk_copy_to_device(
                device.handle(), copy.address(), address + offset, bytes));
        return copy;
      }
      Memory memory =
          Memory.borrow(
              "tensor", device, address + offset, bytes, this, () -> release(offset, bytes));
      shared = true;
      return Tensor.contiguous(memory, address + offset, dtype, shape.clone());
    } finally {
      if (!shared) {
        releaseUse();
      }
    }
  }

  /** What a tensor has read need not stay resident once it is closed. */
  private void release(long offset, long bytes) {
    try {
      evict("close", offset, bytes);
    } finally {
      releaseUse();
    }
  }

  /**
   * Lets all that was read of the file leave the memory of the process: what tensors over it have
   * read, and what the system read around that. It is read again where it is used again.
   */
  public void evict() {
    acquireUse("evict");
    try {
      evict("evict", 0, size);
    } finally {
      releaseUse();
    }
  }

  private void evict(String operation, long offset, long bytes) {
    NativeLibrary.check(operation, native_kernels.lk_file_evict(address + offset, bytes));
  }

  private void requireRange(String operation, long offset, long bytes) {
    if (offset < 0 || bytes < 0 || bytes > size - offset) {
      throw new InvalidArgumentException(
          operation
              + ": bytes "
              + offset
              + " ... "
              + (offset + bytes)
              + " are outside "
              + path
              + ", which has "
              + size);
    }
  }

  @Override
  public String toString() {
    return path.toString();
  }
}
