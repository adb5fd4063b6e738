package org.lorakernels.safetensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;
import org.lorakernels.CheckpointException;

/**
 * A file that appears complete or not at all. It is written under a temporary name in the same
 * directory, forced to the disk, and renamed over the old file by {@link #commit}; until then, and
 * if anything fails, the old file stays as it was. {@link #close} without a commit removes the
 * temporary file.
 */
public final class AtomicFile implements AutoCloseable {

  /** Where bytes go; a seam for tests of failing disks. */
  interface Output extends AutoCloseable {
    /** Writes all remaining bytes of {@code source} at {@code position} of the file. */
    void write(ByteBuffer source, long position) throws IOException;

    /** Forces everything to the disk. */
    void force() throws IOException;

    @Override
    void close() throws IOException;
  }

  /** Opens a new file for writing; a seam for tests of failing disks. */
  interface Opener {
    Output open(Path newFile) throws IOException;
  }

  private final Path target;
  private final Path temporary;
  private final Output output;
  private boolean open = true;

  /**
   * Starts a file.
   *
   * @param target its final name, in a directory that exists
   * @throws CheckpointException if the directory is missing or not writable
   */
  public AtomicFile(Path target) {
    this(target, AtomicFile::openChannel);
  }

  AtomicFile(Path target, Opener opener) {
    this.target = target;
    Path directory = target.toAbsolutePath().getParent();
    if (directory == null || !Files.isDirectory(directory)) {
      throw new CheckpointException(
          target, "write: " + directory + " must be a directory; create it first");
    }
    this.temporary =
        directory.resolve("." + target.getFileName() + "." + UUID.randomUUID() + ".tmp");
    try {
      this.output = opener.open(temporary);
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /** Writes a whole file of {@code bytes}. */
  public static void write(Path target, byte[] bytes) {
    try (AtomicFile file = new AtomicFile(target)) {
      file.write(ByteBuffer.wrap(bytes), 0);
      file.commit();
    }
  }

  /**
   * Writes all remaining bytes of {@code source}, starting at {@code position} of the file.
   *
   * @throws CheckpointException if the disk is full or fails
   */
  public void write(ByteBuffer source, long position) {
    try {
      output.write(source, position);
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /**
   * Makes the file durable and gives it its name, in place of a file that had it.
   *
   * @throws CheckpointException if the disk is full or fails; the old file is then as it was
   */
  public void commit() {
    try {
      output.force();
      output.close();
      Files.move(
          temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      open = false;
    } catch (IOException e) {
      throw failed(e);
    }
    forceDirectory(target.toAbsolutePath().getParent());
  }

  /** Removes the temporary file unless it was committed; may be called again. */
  @Override
  public void close() {
    if (!open) {
      return;
    }
    open = false;
    try {
      try {
        output.close();
      } finally {
        Files.deleteIfExists(temporary);
      }
    } catch (IOException e) {
      throw new CheckpointException(
          temporary, "the temporary file cannot be removed; delete it by hand", e);
    }
  }

  /**
   * Makes the names in {@code directory} durable. Systems that cannot open a directory keep them
   * without being asked, so that a failure means nothing.
   */
  public static void forceDirectory(Path directory) {
    try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException e) {
      // Not possible here (see above); the data itself has been forced.
    }
  }

  private CheckpointException failed(IOException cause) {
    return new CheckpointException(
        target,
        "write: "
            + (cause.getMessage() == null ? cause : cause.getMessage())
            + "; nothing was changed; check the free space and the permissions of the directory",
        cause);
  }

  private static Output openChannel(Path newFile) throws IOException {
    FileChannel channel =
        FileChannel.open(newFile, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    return new Output() {
      @Override
      public void write(ByteBuffer source, long position) throws IOException {
        for (long at = position; source.hasRemaining(); ) {
          at += channel.write(source, at);
        }
      }

      @Override
      public void force() throws IOException {
        channel.force(true);
      }

      @Override
      public void close() throws IOException {
        channel.close();
      }
    };
  }
}
