package org.lorakernels.training.model;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.SortedMap;
import java.util.stream.Stream;
import org.lorakernels.CheckpointException;
import org.lorakernels.huggingface.AtomicDirectory;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorSpec;

/**
 * A checkpoint that has learnt nothing yet: matrices normal with the deviation {@code
 * initializer_range} of {@code config.json}, norms 1, biases 0, as transformers starts a model.
 */
public final class RandomCheckpoint {
  /** transformers' own, where the configuration does not say. */
  private static final double INITIALIZER_RANGE = 0.02;

  private static final int CHUNK_FLOATS = 1 << 20;

  private RandomCheckpoint() {}

  /**
   * Writes one, F32, in one file of weights.
   *
   * @param description a directory with {@code config.json}; what else lies there (a tokenizer)
   *     comes along, but weights do not
   * @param target appears whole or not at all
   * @param overwrite whether a directory with files in it may be replaced
   * @param seed of the weights; the same seed gives the same bits
   * @throws CheckpointException if a file cannot be read or written
   */
  public static void write(Path description, Path target, boolean overwrite, long seed) {
    ModelConfig config = ModelConfig.read(description);
    double range =
        Checkpoint.readConfig(description)
            .findNumber("initializer_range")
            .orElse(INITIALIZER_RANGE);
    SortedMap<String, long[]> shapes = config.shapes();
    List<TensorSpec> specs = new ArrayList<>();
    shapes.forEach((name, shape) -> specs.add(new TensorSpec(name, SafetensorsDtype.F32, shape)));
    try (AtomicDirectory directory = new AtomicDirectory(target, overwrite)) {
      for (Path file : others(description)) {
        directory.copy(file);
      }
      Path weights = directory.path().resolve(SafetensorsStore.SINGLE);
      try (SafetensorsWriter writer =
          SafetensorsWriter.create(weights, SafetensorsWriter.PYTORCH, specs)) {
        Random random = new Random(seed);
        float norm = 1 - config.architecture().normOffset();
        specs.forEach(spec -> fill(writer, spec, random, range, norm));
        writer.commit();
      }
      directory.commit();
    }
  }

  private static List<Path> others(Path description) {
    try (Stream<Path> entries = Files.list(description)) {
      return entries
          .filter(Files::isRegularFile)
          .filter(file -> !file.getFileName().toString().contains(".safetensors"))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new CheckpointException(description, "cannot be read: " + e.getMessage(), e);
    }
  }

  private static void fill(
      SafetensorsWriter writer, TensorSpec spec, Random random, double range, float norm) {
    boolean matrix = spec.shape().length == 2;
    float constant = spec.name().endsWith(WeightNames.BIAS) ? 0 : norm;
    ByteBuffer bytes =
        ByteBuffer.allocate(Float.BYTES * (int) Math.min(CHUNK_FLOATS, spec.elementCount()))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (long done = 0; done < spec.elementCount(); done += CHUNK_FLOATS) {
      bytes.clear();
      long count = Math.min(CHUNK_FLOATS, spec.elementCount() - done);
      for (long i = 0; i < count; i++) {
        bytes.putFloat(matrix ? (float) (range * random.nextGaussian()) : constant);
      }
      writer.write(spec.name(), done * Float.BYTES, bytes.flip());
    }
  }
}
