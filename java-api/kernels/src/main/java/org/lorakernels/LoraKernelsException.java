package org.lorakernels;

/**
 * The root of everything that this library throws. A message names the operation, the argument,
 * what was expected, what was given, and, where it can be told, what to do.
 */
public class LoraKernelsException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** With a message. */
  public LoraKernelsException(String message) {
    super(message);
  }

  /** With a message and what caused it (null: nothing did). */
  public LoraKernelsException(String message, Throwable cause) {
    super(message, cause);
  }
}
