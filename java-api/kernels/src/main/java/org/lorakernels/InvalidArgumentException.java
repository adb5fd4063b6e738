package org.lorakernels;

/**
 * An argument that no call could accept: a rate outside [0, 1), a dtype that an operation does not
 * compute with, tensors of two devices.
 */
public class InvalidArgumentException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  /** With the message of an operation: operation, argument, expected, given, what to do. */
  public InvalidArgumentException(String message) {
    super(message);
  }
}
