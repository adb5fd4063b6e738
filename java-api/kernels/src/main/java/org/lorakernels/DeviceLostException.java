package org.lorakernels;

/** The device failed; it can only be closed. */
public class DeviceLostException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  /** With the message of an operation: operation, argument, expected, given, what to do. */
  public DeviceLostException(String message) {
    super(message);
  }
}
