package org.lorakernels.training.checkpoint;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.lorakernels.CheckpointException;
import org.lorakernels.json.JsonObject;

/** Sizes and checksums of the files of a directory. */
final class CheckpointFiles {
  private static final String BYTES = "bytes";
  private static final String CRC32C = "crc32c";

  private CheckpointFiles() {}

  /** Size and CRC-32C (RFC 3720) of every file in {@code directory}, by name. */
  static JsonObject describe(Path directory) {
    JsonObject files = new JsonObject();
    try (Stream<Path> entries = Files.list(directory)) {
      for (Path file : entries.sorted().toList()) {
        files.put(
            file.getFileName().toString(),
            new JsonObject().put(BYTES, Files.size(file)).put(CRC32C, checksum(file)));
      }
    } catch (IOException e) {
      throw unreadable(directory, e);
    }
    return files;
  }

  /**
   * Compares the files of {@code directory} with what {@link #describe} said of them.
   *
   * @throws CheckpointException at the first difference
   */
  static void verify(Path directory, JsonObject files) {
    for (String name : files.names()) {
      JsonObject expected = files.object(name);
      Path file = directory.resolve(name);
      try {
        long bytes = Files.size(file);
        if (bytes != expected.integer(BYTES)) {
          throw new CheckpointException(
              file,
              "checkpoint: must have "
                  + expected.integer(BYTES)
                  + " bytes, but has "
                  + bytes
                  + ": it is truncated or was replaced");
        }
        if (!checksum(file).equals(expected.string(CRC32C))) {
          throw new CheckpointException(
              file, "checkpoint: its content does not have the checksum that it was written with");
        }
      } catch (NoSuchFileException e) {
        throw new CheckpointException(file, "checkpoint: the file is missing", e);
      } catch (IOException e) {
        throw unreadable(file, e);
      }
    }
  }

  private static String checksum(Path file) throws IOException {
    CRC32C checksum = new CRC32C();
    byte[] buffer = new byte[1 << 16];
    try (InputStream in = Files.newInputStream(file)) {
      for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
        checksum.update(buffer, 0, count);
      }
    }
    return String.format("%08x", checksum.getValue());
  }

  private static CheckpointException unreadable(Path path, IOException cause) {
    return new CheckpointException(
        path, "checkpoint: cannot be read: " + cause + "; check its permissions", cause);
  }
}
