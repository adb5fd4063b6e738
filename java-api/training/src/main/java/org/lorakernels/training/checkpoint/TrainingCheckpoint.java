package org.lorakernels.training.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.Tensor;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.safetensors.SafetensorsFile;
import org.lorakernels.safetensors.TensorSpec;

/**
 * A checkpoint of a run, verified: every file has the size and the checksum that it was written
 * with. Made by {@link CheckpointWriter}.
 */
public final class TrainingCheckpoint {
  /** The file that describes the others; written last. */
  public static final String FILE = "trainer_state.json";

  static final String PREFIX = "checkpoint-";
  static final String STEP = "step";
  static final String STATE = "state";
  static final String FILES = "files";

  private final Path directory;
  private final JsonObject document;

  private TrainingCheckpoint(Path directory, JsonObject document) {
    this.directory = directory;
    this.document = document;
  }

  /**
   * Opens a checkpoint.
   *
   * @param directory {@code OUTPUT/checkpoint-STEP}
   * @throws CheckpointException if it is not a whole checkpoint, saying which file is not
   */
  public static TrainingCheckpoint open(Path directory) {
    Path file = directory.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      throw new CheckpointException(
          directory, "checkpoint: expected a directory with " + FILE + ", but there is none");
    }
    try {
      JsonObject document = JsonReader.parseObject(Files.readAllBytes(file));
      document.integer(STEP);
      document.object(STATE);
      CheckpointFiles.verify(directory, document.object(FILES));
      return new TrainingCheckpoint(directory, document);
    } catch (JsonException e) {
      throw new CheckpointException(file, "checkpoint: " + e.getMessage(), e);
    } catch (IOException e) {
      throw new CheckpointException(file, "checkpoint: cannot be read: " + e.getMessage(), e);
    }
  }

  /**
   * The newest whole checkpoint of a run.
   *
   * @param output the output directory of the run; need not exist
   * @param damaged is told in a sentence of every newer checkpoint that is not whole
   */
  public static Optional<TrainingCheckpoint> newest(Path output, Consumer<String> damaged) {
    for (Path candidate : directories(output)) {
      try {
        return Optional.of(open(candidate));
      } catch (CheckpointException e) {
        damaged.accept("passed over a damaged checkpoint: " + e.getMessage());
      }
    }
    return Optional.empty();
  }

  /** The directories that bear the name of a checkpoint, the newest first. */
  static List<Path> directories(Path output) {
    if (!Files.isDirectory(output)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(output)) {
      return entries
          .filter(entry -> entry.getFileName().toString().matches(PREFIX + "\\d{1,18}"))
          .sorted(Comparator.comparingLong(TrainingCheckpoint::number).reversed())
          .toList();
    } catch (IOException e) {
      throw new CheckpointException(output, "checkpoints: cannot be listed: " + e.getMessage(), e);
    }
  }

  private static long number(Path directory) {
    return Long.parseLong(directory.getFileName().toString().substring(PREFIX.length()));
  }

  /** Where it is. */
  public Path directory() {
    return directory;
  }

  /** Steps that were taken. */
  public long step() {
    return document.integer(STEP);
  }

  /** What was written beside the tensors. */
  public JsonObject state() {
    return document.object(STATE);
  }

  /**
   * Copies the tensors of a file, bit for bit.
   *
   * @param device of the targets
   * @param file its name
   * @param targets exactly the tensors of the file, by name, with their dtypes and shapes
   * @throws CheckpointException if the file has others
   */
  public void restore(Device device, String file, Map<String, Tensor> targets) {
    try (SafetensorsFile tensors = SafetensorsFile.open(directory.resolve(file))) {
      for (String name : tensors.names()) {
        if (!targets.containsKey(name)) {
          throw differs(file, name, "is not trained in this run");
        }
      }
      targets.forEach((name, target) -> restore(device, tensors, file, name, target));
    }
  }

  private void restore(
      Device device, SafetensorsFile tensors, String file, String name, Tensor target) {
    if (!tensors.contains(name)) {
      throw differs(file, name, "is trained in this run, but not there");
    }
    TensorSpec expected = TensorSpec.of(name, target);
    TensorSpec found = tensors.info(name).spec();
    if (!found.equals(expected)) {
      throw differs(file, name, "is " + kind(found) + ", but here " + kind(expected));
    }
    try (Tensor source = tensors.tensor(device, name)) {
      target.copyFrom(source);
    }
  }

  private static String kind(TensorSpec spec) {
    return spec.dtype() + " " + Arrays.toString(spec.shape());
  }

  private CheckpointException differs(String file, String name, String how) {
    return new CheckpointException(
        directory.resolve(file),
        "checkpoint: \""
            + name
            + "\" "
            + how
            + ": it is of a run with other adapters or another model; resume with the options that"
            + " the run was started with");
  }
}
