package org.lorakernels;

import org.lorakernels.bindings.global.native_kernels;

/**
 * A range of device memory that tensors share; see {@link Lifetime} for how long it lives. It is a
 * user of what it comes from: the handle of its device, a mapped file.
 */
final class Memory {
  final Device device;
  final long address;
  final long bytes;

  /** Ends when the last tensor over this memory is closed. */
  final Lifetime lifetime;

  private Memory(Device device, long address, long bytes, Runnable release) {
    this.device = device;
    this.address = address;
    this.bytes = bytes;
    this.lifetime = new Lifetime(null, release);
  }

  /** Zeroed memory of the device. */
  static Memory allocate(String operation, Device device, long bytes) {
    device.acquireUse(operation);
    try {
      long[] address = new long[1];
      int status = native_kernels.lk_alloc(device.handle(), bytes, address);
      if (status == native_kernels.LK_OUT_OF_MEMORY) {
        DeviceInfo info = device.info();
        throw new DeviceOutOfMemoryException(
            operation + ": " + native_kernels.lk_last_error().getString(),
            bytes,
            info.availableBytes(),
            device.memory().allocatedPeakBytes());
      }
      NativeLibrary.check(operation, status);
      return new Memory(
          device,
          address[0],
          bytes,
          () -> {
            native_kernels.lk_free(device.handle(), address[0]);
            device.releaseUse();
          });
    } catch (RuntimeException failure) {
      device.releaseUse();
      throw failure;
    }
  }

  /**
   * Memory that belongs to somebody else.
   *
   * @param owner kept reachable as long as this memory is; may be null
   * @param release runs when the last tensor is closed
   */
  static Memory borrow(
      String operation, Device device, long address, long bytes, Object owner, Runnable release) {
    if (device.backend() != Backend.CPU) {
      throw new InvalidArgumentException(
          operation
              + ": host memory can back tensors of a CPU device, but the device is "
              + device);
    }
    device.acquireUse(operation);
    return new Memory(
        device,
        address,
        bytes,
        () -> {
          java.lang.ref.Reference.reachabilityFence(owner);
          release.run();
          device.releaseUse();
        });
  }
}
