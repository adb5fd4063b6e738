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
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;
import org.lorakernels.CheckpointException;
import org.lorakernels.safetensors.AtomicFile;

/**
 * A directory that appears complete or not at all: filled under a temporary name beside its final
 * one and renamed by {@link #commit}. {@link #close} without a commit removes it, or, where it was
 * begun to be resumed, leaves it under its temporary name.
 */
public final class AtomicDirectory implements AutoCloseable {
  private final Path target;
  private final Path temporary;
  private final boolean overwrite;
  private final ResumeMark mark; // null: not to be resumed
  private boolean open = true;

  /**
   * Starts a directory.
   *
   * @param target its final name; missing parents are made
   * @param overwrite whether a directory with files in it may be replaced
   * @throws CheckpointException if it may not be replaced, or nothing can be written there
   */
  public AtomicDirectory(Path target, boolean overwrite) {
    this(target, overwrite, null);
  }

  /**
   * Starts a directory, or goes on with one that was left unfinished.
   *
   * @param target its final name; missing parents are made
   * @param overwrite whether a directory with files in it may be replaced
   * @param resumeKey says what will be in it: an unfinished directory of the same key keeps its
   *     files, one of another key is emptied; null: never resumed
   * @throws CheckpointException if it may not be replaced, nothing can be written there, or
   *     somebody else is writing it
   */
  public AtomicDirectory(Path target, boolean overwrite, String resumeKey) {
    this.target = target.toAbsolutePath().normalize();
    this.overwrite = overwrite;
    this.temporary =
        resumeKey == null
            ? beside("tmp")
            : this.target.resolveSibling("." + this.target.getFileName() + ".partial");
    requireReplaceable();
    try {
      Files.createDirectories(this.target.getParent());
      if (resumeKey == null) {
        Files.createDirectory(temporary);
        mark = null;
      } else {
        Files.createDirectories(temporary);
        mark = resume(resumeKey);
      }
    } catch (IOException e) {
      throw failed(e);
    }
  }

  private ResumeMark resume(String key) throws IOException {
    ResumeMark locked = ResumeMark.lock(temporary);
    try {
      boolean same = locked.matches(key);
      for (Path file : files()) {
        if (!same || file.getFileName().toString().endsWith(".tmp")) {
          delete(file);
        }
      }
      if (!same) {
        locked.write(key);
      }
      return locked;
    } catch (IOException | RuntimeException e) {
      locked.close();
      throw e;
    }
  }

  /** What is in the unfinished directory beside the mark. */
  private List<Path> files() throws IOException {
    try (Stream<Path> entries = Files.list(temporary)) {
      return entries.filter(file -> !file.endsWith(ResumeMark.FILE)).toList();
    }
  }

  /** Whether a file of that name is there from before. */
  public boolean has(String file) {
    return Files.exists(temporary.resolve(file));
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
        FileChannel.open(
            copy,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
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
      if (mark != null) {
        mark.remove();
      }
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

  /**
   * Removes what was written unless it was committed or is to be resumed; may be called again. An
   * empty directory is always removed.
   */
  @Override
  public void close() {
    if (!open) {
      return;
    }
    open = false;
    try {
      if (mark != null) {
        mark.close();
      }
      if (mark == null || files().isEmpty()) {
        delete(temporary);
      }
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
