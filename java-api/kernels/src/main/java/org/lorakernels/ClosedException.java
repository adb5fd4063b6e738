package org.lorakernels;

/** Use of a tensor, adapter, optimiser or device after it was closed. */
public class ClosedException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  /** With the message of an operation: operation, argument, expected, given, what to do. */
  public ClosedException(String message) {
    super(message);
  }
}
