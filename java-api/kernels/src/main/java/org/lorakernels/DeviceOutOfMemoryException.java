package org.lorakernels;

/** Memory of a device is exhausted. Nothing was allocated; the operation had no effect. */
public class DeviceOutOfMemoryException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  private final long requestedBytes;
  private final long freeBytes;
  private final long peakBytes;

  /**
   * With the figures of the failure.
   *
   * @param message the message of the operation
   * @param requestedBytes what was asked for
   * @param freeBytes what the device had left
   * @param peakBytes the most that was ever allocated through this device
   */
  public DeviceOutOfMemoryException(
      String message, long requestedBytes, long freeBytes, long peakBytes) {
    super(message);
    this.requestedBytes = requestedBytes;
    this.freeBytes = freeBytes;
    this.peakBytes = peakBytes;
  }

  /** Bytes that were asked for. */
  public long requestedBytes() {
    return requestedBytes;
  }

  /** Bytes that the device had left. */
  public long freeBytes() {
    return freeBytes;
  }

  /** The most bytes that were ever allocated through this device. */
  public long peakBytes() {
    return peakBytes;
  }
}
