package org.lorakernels.merge;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What Linux says about the memory of this process. */
final class ResidentMemory {
  private ResidentMemory() {}

  /**
   * A figure in bytes.
   *
   * @param name RssFile (pages of files that are resident now) or VmHWM (the most that ever was)
   */
  static long of(String name) {
    try {
      return Files.readAllLines(Path.of("/proc/self/status")).stream()
          .filter(line -> line.startsWith(name + ":"))
          .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024)
          .findFirst()
          .orElseThrow();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
