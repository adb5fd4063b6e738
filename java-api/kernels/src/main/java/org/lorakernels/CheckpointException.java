package org.lorakernels;

import java.nio.file.Path;

/** A file that is missing, malformed, or cannot be read or written. */
public class CheckpointException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  private final transient Path path;

  /**
   * With the file.
   *
   * @param path the file or directory
   * @param message what is wrong with it and what to do; the path is put before it
   */
  public CheckpointException(Path path, String message) {
    this(path, message, null);
  }

  /**
   * With the file and a cause.
   *
   * @param path the file or directory
   * @param message what is wrong with it and what to do; the path is put before it
   * @param cause what was caught; may be null
   */
  public CheckpointException(Path path, String message, Throwable cause) {
    super(path + ": " + message, cause);
    this.path = path;
  }

  /** The file or directory; null after deserialisation. */
  public Path path() {
    return path;
  }
}
