package org.lorakernels;

/** Shapes that do not fit one another. */
public class ShapeMismatchException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  /** With the message of an operation: operation, argument, expected, given, what to do. */
  public ShapeMismatchException(String message) {
    super(message);
  }
}
