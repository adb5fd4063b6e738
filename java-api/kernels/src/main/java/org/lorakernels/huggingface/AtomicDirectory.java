package org.lorakernels.huggingface;

import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.UUID;
import java.util.stream.Stream;
import org.lorakernels.CheckpointException;
import org.lorakernels.safetensors.AtomicFile;

/**
 * A directory that appears complete or not at all: filled under a temporary name beside its final
 * one and renamed by {@link #commit}. {@link #close} without a commit removes it.
 */
public final class AtomicDirectory implements AutoCloseable {
  private final Path target;
  private final Path temporary;
  private final boolean overwrite;
  private boolean open = true;

  /**
   * Starts a directory.
   *
   * @param target its final name; missing parents are made
   * @param overwrite whether a directory with files in it may be replaced
   * @throws CheckpointException if it may not be replaced, or nothing can be written there
   */
  public AtomicDirectory(Path target, boolean overwrite) {
    this.target = target.toAbsolutePath().normalize();
    this.overwrite = overwrite;
    this.temporary = beside("tmp");
    requireReplaceable();
    try {
      Files.createDirectories(this.target.getParent());
      Files.createDirectory(temporary);
    } catch (IOException e) {
      throw failed(e);
    }
  }

  private Path beside(String suffix) {
    return target.resolveSibling(
        "." + target.getFileName() + "." + UUID.randomUUID() + "." + suffix);
  }

  private void requireReplaceable() {
    if (!Files.exists(target)) {
      return;
    }
    if (!Files.isDirectory(target)) {
      throw new CheckpointException(
          target, "write: expected a directory, but there is a file; name another");
    }
    if (!overwrite && !isEmpty(target)) {
      throw new CheckpointException(
          target,
          "write: the directory is not empty; name another, or ask for it to be overwritten");
    }
  }

  private boolean isEmpty(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.findAny().isEmpty();
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /** Where to put the files. */
  public Path path() {
    return temporary;
  }

  /** Copies the content of a file into the directory; its permissions stay behind. */
  public void copy(Path source) {
    Path copy = temporary.resolve(source.getFileName());
    try (FileChannel channel =
        FileChannel.open(copy, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      Files.copy(source, Channels.newOutputStream(channel));
      channel.force(true);
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /** Gives the directory its name, in place of one that had it. */
  public void commit() {
    AtomicFile.forceDirectory(temporary);
    Path old = null;
    try {
      if (Files.exists(target)) {
        old = beside("old");
        Files.move(target, old, StandardCopyOption.ATOMIC_MOVE);
      }
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
      open = false;
      AtomicFile.forceDirectory(target.getParent());
      if (old != null) {
        delete(old);
      }
    } catch (IOException e) {
      throw failed(restore(old, e));
    }
  }

  /** Brings the old directory back where the new one did not take its place. */
  private IOException restore(Path old, IOException cause) {
    if (open && old != null && !Files.exists(target)) {
      try {
        Files.move(old, target, StandardCopyOption.ATOMIC_MOVE);
      } catch (IOException e) {
        cause.addSuppressed(e);
      }
    }
    return cause;
  }

  /** Removes what was written unless it was committed; may be called again. */
  @Override
  public void close() {
    if (!open) {
      return;
    }
    open = false;
    try {
      delete(temporary);
    } catch (IOException e) {
      throw new CheckpointException(
          temporary, "the temporary directory cannot be removed; delete it by hand", e);
    }
  }

  /** Removes a directory and all that is in it; links are removed, not followed. */
  public static void delete(Path directory) throws IOException {
    Files.walkFileTree(
        directory,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path visited, IOException e)
              throws IOException {
            Files.delete(visited);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  private CheckpointException failed(IOException cause) {
    return new CheckpointException(
        target,
        "write: " + cause + "; check the free space and the permissions of " + target.getParent(),
        cause);
  }
}
