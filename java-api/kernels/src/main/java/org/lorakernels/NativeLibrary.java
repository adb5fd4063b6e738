package org.lorakernels;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.lorakernels.bindings.global.native_kernels;

/**
 * Loads the native library once, keeps every cause of a failure, and turns statuses into
 * exceptions.
 */
final class NativeLibrary {
  /** Why it cannot be used; null where it can. */
  private static final BackendUnavailableException FAILURE = load();

  private NativeLibrary() {}

  /** Throws {@link BackendUnavailableException} where the library cannot be loaded. */
  static void ensureLoaded() {
    if (FAILURE != null) {
      throw new BackendUnavailableException(FAILURE.getMessage(), List.of(FAILURE.getSuppressed()));
    }
  }

  /** The failure to load, or null. */
  static BackendUnavailableException failure() {
    return FAILURE;
  }

  private static BackendUnavailableException load() {
    try {
      Loader.load(native_kernels.class);
      int version = native_kernels.lk_abi_version();
      if (version != native_kernels.LK_ABI_VERSION) {
        return new BackendUnavailableException(
            "the native library has ABI version "
                + version
                + ", but these classes were built for "
                + native_kernels.LK_ABI_VERSION
                + ": use jars of one version",
            List.of());
      }
      return null;
    } catch (Exception | LinkageError failure) {
      List<Throwable> causes = causes(failure);
      Throwable root = causes.get(causes.size() - 1);
      return new BackendUnavailableException(
          "cannot load the native library for "
              + Loader.getPlatform()
              + ": "
              + root
              + "; the class path needs lora-kernels and javacpp, all jars of one version, each with "
              + "the classifier "
              + Loader.getPlatform(),
          causes);
    }
  }

  /** A throwable and all that caused it or was suppressed by it, the root last. */
  static List<Throwable> causes(Throwable failure) {
    List<Throwable> all = new ArrayList<>();
    for (Throwable t = failure; t != null && !all.contains(t); t = t.getCause()) {
      for (Throwable suppressed : t.getSuppressed()) {
        all.add(suppressed);
      }
      all.add(t);
    }
    return all;
  }

  /**
   * Throws the exception that a status stands for, with the native message; does nothing for
   * success.
   */
  static void check(String operation, int status) {
    if (status == native_kernels.LK_OK) {
      return;
    }
    String message = operation + ": " + native_kernels.lk_last_error().getString();
    throw switch (status) {
      case native_kernels.LK_INVALID_ARGUMENT -> new InvalidArgumentException(message);
      case native_kernels.LK_SHAPE_MISMATCH -> new ShapeMismatchException(message);
      case native_kernels.LK_UNSUPPORTED -> new UnsupportedException(message);
      case native_kernels.LK_OUT_OF_MEMORY -> new DeviceOutOfMemoryException(message, 0, 0, 0);
      case native_kernels.LK_BACKEND_UNAVAILABLE ->
          new BackendUnavailableException(message, List.of());
      case native_kernels.LK_DEVICE_LOST -> new DeviceLostException(message);
      case native_kernels.LK_IO_ERROR -> new SpillException(message);
      case native_kernels.LK_CANCELLED -> new ClosedException(message);
      default ->
          new LoraKernelsException(
              message + " (" + native_kernels.lk_status_name(status).getString() + ")");
    };
  }

  /**
   * Memory for a descriptor struct, zeroed and freed with the pointer that is made over it. Not
   * allocated by JavaCPP, whose check against the physical memory of the process would count every
   * tensor and mapped file against the Java heap.
   */
  static Pointer descriptorMemory(Class<? extends Pointer> struct, long count) {
    return new BytePointer(ByteBuffer.allocateDirect((int) (Pointer.sizeof(struct) * count)));
  }
}
