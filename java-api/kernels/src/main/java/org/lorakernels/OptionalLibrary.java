package org.lorakernels;

import java.util.List;

/**
 * A library of the JavaCPP presets that may be absent: loaded on first use, and why it cannot be
 * used is kept.
 */
final class OptionalLibrary {
  private final String absent;
  private final String advice;
  private final Runnable loading;
  private boolean tried;
  private BackendUnavailableException failure;

  /**
   * A library that has not been loaded yet.
   *
   * @param absent what is wrong where it cannot be loaded
   * @param advice what to do then
   * @param loading loads it; alone in naming the presets' classes, which may be absent themselves
   */
  OptionalLibrary(String absent, String advice, Runnable loading) {
    this.absent = absent;
    this.advice = advice;
    this.loading = loading;
  }

  /** Throws {@link BackendUnavailableException} with every cause where it cannot be used. */
  void require(String operation) {
    BackendUnavailableException found = failure();
    if (found != null) {
      throw new BackendUnavailableException(
          operation + ": " + found.getMessage(), List.of(found.getSuppressed()));
    }
  }

  private synchronized BackendUnavailableException failure() {
    if (!tried) {
      tried = true;
      try {
        loading.run();
      } catch (Exception | LinkageError thrown) {
        List<Throwable> causes = NativeLibrary.causes(thrown);
        failure =
            new BackendUnavailableException(
                absent + ": " + causes.get(causes.size() - 1) + "; " + advice, causes);
      }
    }
    return failure;
  }
}
