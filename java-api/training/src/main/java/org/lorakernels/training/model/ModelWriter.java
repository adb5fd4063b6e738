package org.lorakernels.training.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.lorakernels.CheckpointException;
import org.lorakernels.Tensor;
import org.lorakernels.huggingface.AtomicDirectory;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorSpec;

/** Writes dense weights as a checkpoint, with the other files of the one that was loaded. */
final class ModelWriter {
  private ModelWriter() {}

  /**
   * Writes a checkpoint of one file; the directory appears complete or not at all.
   *
   * @param source the checkpoint that was loaded
   * @param parameters all weights, each written in the element type that it had there
   * @param target its final name
   * @param overwrite whether a directory with files in it may be replaced
   */
  static void write(Path source, List<DenseParameter> parameters, Path target, boolean overwrite) {
    Map<String, DenseParameter> byName = new LinkedHashMap<>();
    parameters.forEach(parameter -> byName.put(parameter.name(), parameter));
    List<TensorSpec> specs = byName.values().stream().map(ModelWriter::spec).toList();
    try (AtomicDirectory directory = new AtomicDirectory(target, overwrite)) {
      copyOthers(source, directory);
      Path file = directory.path().resolve(SafetensorsStore.SINGLE);
      try (SafetensorsWriter writer =
          SafetensorsWriter.create(file, SafetensorsWriter.PYTORCH, specs)) {
        byName.forEach((name, parameter) -> write(writer, parameter));
        writer.commit();
      }
      directory.commit();
    }
  }

  private static TensorSpec spec(DenseParameter parameter) {
    return new TensorSpec(
        parameter.name(), SafetensorsDtype.of(parameter.storedDtype()), parameter.value().shape());
  }

  private static void write(SafetensorsWriter writer, DenseParameter parameter) {
    if (parameter.value().dtype() == parameter.storedDtype()) {
      writer.write(parameter.name(), parameter.value());
      return;
    }
    try (Tensor stored = parameter.value().to(parameter.storedDtype())) {
      writer.write(parameter.name(), stored);
    }
  }

  /** Configuration, tokenizer and so on: all files that hold no weights. */
  private static void copyOthers(Path source, AtomicDirectory target) {
    try (Stream<Path> files = Files.list(source)) {
      files.filter(ModelWriter::isCarried).forEach(target::copy);
    } catch (IOException e) {
      throw new CheckpointException(source, "write: its files cannot be listed: " + e, e);
    }
  }

  private static boolean isCarried(Path file) {
    String name = file.getFileName().toString();
    return Files.isRegularFile(file)
        && !name.endsWith(".safetensors")
        && !name.equals(SafetensorsStore.INDEX)
        && !name.startsWith("pytorch_model");
  }
}
