package org.lorakernels.training.checkpoint;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.lorakernels.CheckpointException;
import org.lorakernels.Tensor;
import org.lorakernels.huggingface.AtomicDirectory;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonStyle;
import org.lorakernels.safetensors.AtomicFile;
import org.lorakernels.safetensors.SafetensorsWriter;

/**
 * Writes the checkpoints of a run, {@code OUTPUT/checkpoint-STEP}, and removes the older ones. A
 * process that is killed at any moment leaves whole checkpoints and hidden temporary directories,
 * which the next writer removes.
 */
public final class CheckpointWriter {
  /** The temporary names that atomic files and directories give, and that of {@link #remove}. */
  private static final String TEMPORARY =
      "\\..+\\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\.(tmp|old)|\\.checkpoint-\\d+\\.removed\\.old";

  private final Path output;
  private final int keep;

  /**
   * For one run at a time.
   *
   * @param output made if it does not exist
   * @param keep how many checkpoints stay, the newest ones; 0: all
   * @throws CheckpointException if the directory cannot be made or written
   */
  public CheckpointWriter(Path output, int keep) {
    this.output = output;
    this.keep = keep;
    try {
      Files.createDirectories(output);
      if (!Files.isWritable(output)) {
        throw new CheckpointException(
            output,
            "output directory: cannot be written to; change its permissions or name another");
      }
      for (Path left : list(output, TEMPORARY)) {
        AtomicDirectory.delete(left);
      }
    } catch (IOException e) {
      throw new CheckpointException(
          output, "output directory: cannot be made or cleaned: " + e + "; name another", e);
    }
  }

  /**
   * Writes a checkpoint and then removes those that are too many.
   *
   * @param step steps taken
   * @param state what the run needs beside tensors, see {@link TrainingCheckpoint#state}
   * @param tensors names of files and the tensors in each
   * @param others writes further files into the directory that it is given
   * @return the directory
   * @throws CheckpointException if the disk is full or fails: earlier checkpoints are as they were
   */
  public Path write(
      long step,
      JsonObject state,
      Map<String, Map<String, Tensor>> tensors,
      Consumer<Path> others) {
    Path target = output.resolve(TrainingCheckpoint.PREFIX + step);
    try (AtomicDirectory directory = new AtomicDirectory(target, true)) {
      others.accept(directory.path());
      tensors.forEach(
          (file, content) ->
              SafetensorsWriter.write(
                  directory.path().resolve(file), SafetensorsWriter.PYTORCH, content));
      JsonObject document =
          new JsonObject()
              .put(TrainingCheckpoint.STEP, step)
              .put(TrainingCheckpoint.STATE, state)
              .put(TrainingCheckpoint.FILES, CheckpointFiles.describe(directory.path()));
      AtomicFile.write(
          directory.path().resolve(TrainingCheckpoint.FILE),
          JsonStyle.PYTHON_INDENTED.write(document).getBytes(StandardCharsets.UTF_8));
      directory.commit();
    }
    removeOld();
    return target;
  }

  /** Whether there is a checkpoint, whole or not. */
  public boolean hasCheckpoints() {
    return !TrainingCheckpoint.directories(output).isEmpty();
  }

  /** Removes all checkpoints. */
  public void removeAll() {
    TrainingCheckpoint.directories(output).forEach(this::remove);
  }

  private void removeOld() {
    List<Path> all = TrainingCheckpoint.directories(output);
    for (Path old : all.subList(keep == 0 ? all.size() : Math.min(keep, all.size()), all.size())) {
      remove(old);
    }
  }

  /**
   * Under a temporary name first, so that half a checkpoint never bears the name of a whole one.
   */
  private void remove(Path checkpoint) {
    try {
      Path renamed = output.resolve("." + checkpoint.getFileName() + ".removed.old");
      Files.move(checkpoint, renamed, StandardCopyOption.ATOMIC_MOVE);
      AtomicDirectory.delete(renamed);
    } catch (IOException e) {
      throw new CheckpointException(
          checkpoint, "old checkpoint: cannot be removed: " + e + "; check its permissions", e);
    }
  }

  private static List<Path> list(Path directory, String pattern) throws IOException {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.filter(entry -> entry.getFileName().toString().matches(pattern)).toList();
    }
  }
}
