package org.lorakernels.huggingface;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.lorakernels.CheckpointException;

/**
 * A file in an unfinished directory that says what is being written there, and is locked by who
 * writes it: by the kernel, so that the lock ends with the process.
 */
final class ResumeMark implements AutoCloseable {
  static final String FILE = ".resume";

  private final Path path;
  private final FileChannel channel;

  private ResumeMark(Path path, FileChannel channel) {
    this.path = path;
    this.channel = channel;
  }

  /**
   * Locks a directory.
   *
   * @throws CheckpointException if somebody else is writing there
   */
  static ResumeMark lock(Path directory) throws IOException {
    Path path = directory.resolve(FILE);
    FileChannel channel =
        FileChannel.open(
            path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
    try {
      FileLock lock = channel.tryLock();
      if (lock != null) {
        return new ResumeMark(path, channel);
      }
    } catch (OverlappingFileLockException e) {
      // another thread of this process: as refused as another process
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
    channel.close();
    throw new CheckpointException(
        directory, "write: somebody else is writing there now; wait for it, or name another");
  }

  /** Whether the directory holds the beginning of what {@code key} describes. */
  boolean matches(String key) throws IOException {
    byte[] expected = key.getBytes(StandardCharsets.UTF_8);
    ByteBuffer found = ByteBuffer.allocate(expected.length + 1);
    for (int read = 0; read >= 0 && found.hasRemaining(); ) {
      read = channel.read(found, found.position());
    }
    return found.flip().equals(ByteBuffer.wrap(expected));
  }

  /** Says that the directory will hold what {@code key} describes. */
  void write(String key) throws IOException {
    channel.truncate(0);
    ByteBuffer bytes = ByteBuffer.wrap(key.getBytes(StandardCharsets.UTF_8));
    while (bytes.hasRemaining()) {
      channel.write(bytes, bytes.position());
    }
    channel.force(true);
  }

  /** Removes the file: the directory is finished. */
  void remove() throws IOException {
    Files.delete(path);
    channel.close();
  }

  /** Ends the lock; the file stays. */
  @Override
  public void close() throws IOException {
    channel.close();
  }
}
