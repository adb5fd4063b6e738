package org.lorakernels.json;

import org.lorakernels.LoraKernelsException;

/**
 * A document that is not JSON, exceeds a limit of the reader, or lacks what was asked of it. The
 * message says where; whoever read the document from a file adds its path.
 */
public final class JsonException extends LoraKernelsException {
  private static final long serialVersionUID = 1;

  /** An error described by {@code message}. */
  public JsonException(String message) {
    super(message);
  }
}
