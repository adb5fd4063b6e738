package org.lorakernels;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.lorakernels.bindings.global.native_kernels;
import org.lorakernels.bindings.lk_device;
import org.lorakernels.bindings.lk_device_info;
import org.lorakernels.bindings.lk_memory_stats;

/**
 * A handle on a device: what tensors live on and operations run on. Threads may share one. Tensors
 * of two handles do not mix, even where both stand for the same processor, since operations are
 * only ordered within one.
 *
 * <p>Closing a device makes every later operation on it fail; its native handle is released once
 * its last tensor is closed.
 */
public final class Device extends NativeOwner {
  private final Backend backend;
  private final int ordinal;
  private final lk_device handle;

  private Device(Backend backend, int ordinal, lk_device handle) {
    this.backend = backend;
    this.ordinal = ordinal;
    this.handle = handle;
    own(toString(), () -> native_kernels.lk_device_close(handle));
  }

  /**
   * The fastest device here: CUDA where it is available, otherwise the CPU.
   *
   * @throws BackendUnavailableException where not even the native library can be loaded
   */
  public static Device best() {
    NativeLibrary.ensureLoaded();
    boolean cuda = probe(Backend.CUDA).available();
    return open(cuda ? Backend.CUDA : Backend.CPU, 0);
  }

  /**
   * The CPU. {@code LORA_KERNELS_BACKEND=scalar|avx2|avx512|avx512bf16} forces its kernels.
   *
   * @throws BackendUnavailableException where the native library cannot be loaded or the forced
   *     kernels cannot run
   */
  public static Device cpu() {
    return open(Backend.CPU, 0);
  }

  /**
   * A CUDA device, with a stream of its own.
   *
   * @param ordinal its number, from 0
   * @throws BackendUnavailableException where there is none, with every cause
   */
  public static Device cuda(int ordinal) {
    return open(Backend.CUDA, ordinal);
  }

  /**
   * A CUDA device whose operations go to a stream of the caller, in the order in which both queue
   * work there; no other stream is ordered with them. Such a stream may be captured into a CUDA
   * graph once the same operations have run: {@code lora_kernels.h} has the rules.
   *
   * @param ordinal number of the GPU, from 0
   * @param stream a {@code cudaStream_t} (or {@code CUstream}) of that GPU, as the address that
   *     JavaCPP's pointer has; 0 is the legacy default stream. It stays the caller's and must
   *     outlive this device and its tensors
   * @throws BackendUnavailableException where there is none, with every cause
   */
  public static Device cudaOnStream(int ordinal, long stream) {
    NativeLibrary.ensureLoaded();
    lk_device handle = new lk_device(null);
    int status =
        native_kernels.lk_device_open_on_stream(Backend.CUDA.ordinal(), ordinal, stream, handle);
    NativeLibrary.check("Device.cudaOnStream", status);
    return new Device(Backend.CUDA, ordinal, handle);
  }

  private static Device open(Backend backend, int ordinal) {
    NativeLibrary.ensureLoaded();
    lk_device handle = new lk_device(null);
    int status = native_kernels.lk_device_open(backend.ordinal(), ordinal, handle);
    NativeLibrary.check("Device." + backend.name().toLowerCase(java.util.Locale.ROOT), status);
    return new Device(backend, ordinal, handle);
  }

  /**
   * Which backends exist here, and why one does not. Never throws; one entry for each {@link
   * Backend}.
   */
  public static List<BackendAvailability> availability() {
    List<BackendAvailability> all = new ArrayList<>();
    for (Backend backend : Backend.values()) {
      all.add(probe(backend));
    }
    return List.copyOf(all);
  }

  private static BackendAvailability probe(Backend backend) {
    BackendUnavailableException failure = NativeLibrary.failure();
    if (failure != null) {
      return new BackendAvailability(
          backend, false, failure.getMessage(), List.of(failure.getSuppressed()));
    }
    byte[] text = new byte[512];
    int status = native_kernels.lk_backend_probe(backend.ordinal(), text, text.length);
    return new BackendAvailability(backend, status == native_kernels.LK_OK, text(text), List.of());
  }

  private static String text(byte[] terminated) {
    int length = 0;
    while (length < terminated.length && terminated[length] != 0) {
      length++;
    }
    return new String(terminated, 0, length, java.nio.charset.StandardCharsets.UTF_8);
  }

  /** Kind of device. */
  public Backend backend() {
    return backend;
  }

  /** What this device is, with the memory that is free now. */
  public DeviceInfo info() {
    acquireUse("info");
    try {
      lk_device_info info =
          new lk_device_info(NativeLibrary.descriptorMemory(lk_device_info.class, 1));
      NativeLibrary.check("info", native_kernels.lk_device_query(handle, info));
      return new DeviceInfo(
          backend,
          info.ordinal(),
          new BytePointer((Pointer) info.name()).getString(),
          new BytePointer((Pointer) info.kernels()).getString(),
          new BytePointer((Pointer) info.reason()).getString(),
          info.threads(),
          info.total_bytes(),
          info.available_bytes());
    } finally {
      releaseUse();
    }
  }

  /** Memory that was obtained through this handle. */
  public MemoryStats memory() {
    acquireUse("memory");
    try {
      lk_memory_stats stats =
          new lk_memory_stats(NativeLibrary.descriptorMemory(lk_memory_stats.class, 1));
      NativeLibrary.check("memory", native_kernels.lk_device_memory(handle, stats));
      return new MemoryStats(
          stats.allocated_bytes(),
          stats.allocated_peak_bytes(),
          stats.allocation_count(),
          stats.workspace_bytes(),
          stats.workspace_peak_bytes(),
          stats.workspace_count());
    } finally {
      releaseUse();
    }
  }

  /**
   * Waits for all operations given to this device. Those of a CPU device are done when they return;
   * those of a CUDA device are queued, and what goes wrong on the GPU is thrown by a later call.
   */
  public void synchronize() {
    acquireUse("synchronize");
    try {
      NativeLibrary.check("synchronize", native_kernels.lk_device_synchronize(handle));
    } finally {
      releaseUse();
    }
  }

  lk_device handle() {
    return handle;
  }

  int ordinal() {
    return ordinal;
  }

  /** The stream of a CUDA device: a {@code cudaStream_t} as an address. */
  long stream() {
    acquireUse("stream");
    try {
      long[] stream = new long[1];
      NativeLibrary.check("stream", native_kernels.lk_device_stream(handle, stream));
      return stream[0];
    } finally {
      releaseUse();
    }
  }

  @Override
  public String toString() {
    return backend.name().toLowerCase(java.util.Locale.ROOT)
        + ":"
        + ordinal
        + "@"
        + Long.toHexString(handle.address());
  }
}
