package org.lorakernels;

import java.util.List;

/**
 * A backend or a library that is not there. Every failure met on the way is kept as a suppressed
 * exception.
 */
public final class BackendUnavailableException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  /**
   * With all causes.
   *
   * @param message what is unavailable, the reason, and what to do
   * @param causes what was caught on the way, the most telling one last; may be empty
   */
  public BackendUnavailableException(String message, List<? extends Throwable> causes) {
    super(message, causes.isEmpty() ? null : causes.get(0));
    causes.forEach(this::addSuppressed);
  }
}
