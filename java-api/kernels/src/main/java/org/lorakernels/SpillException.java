package org.lorakernels;

/**
 * The scratch file of an optimiser could not be made, read or written, or does not hold what was
 * written. The message names the tier and the page. A step that fails with it was undone:
 * parameters and states are as before it, unless the message says that they are lost.
 */
public class SpillException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  /** With a message. */
  public SpillException(String message) {
    super(message);
  }
}
