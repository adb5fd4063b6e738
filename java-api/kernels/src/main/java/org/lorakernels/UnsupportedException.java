package org.lorakernels;

/** A valid request that this version or this device does not implement. */
public class UnsupportedException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  /** With the message of an operation: operation, argument, expected, given, what to do. */
  public UnsupportedException(String message) {
    super(message);
  }
}
