package org.lorakernels.huggingface;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonStyle;
import org.lorakernels.safetensors.AtomicFile;
import org.lorakernels.safetensors.SafetensorsFile;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorSpec;

/**
 * Writes a checkpoint that is made from another one: shards with their index, {@code config.json},
 * and copies of the other files (tokenizer, generation config). One weight is held at a time. The
 * directory appears complete or not at all.
 */
public final class ModelWriter {
  /** Shards are at most this large unless one weight alone is larger. */
  public static final long DEFAULT_SHARD_BYTES = 5_000_000_000L;

  /** Files that hold weights, or that are written anew. */
  private static final Pattern NOT_CARRIED =
      Pattern.compile(
          "\\..*|config\\.json|.*\\.(safetensors|bin|pt|pth|ckpt|h5|msgpack|gguf|onnx|ot)(\\.index\\.json)?");

  private final Path source;
  private long maxShardBytes = DEFAULT_SHARD_BYTES;
  private boolean overwrite;
  private String resumeKey;
  private final Map<String, String> texts = new LinkedHashMap<>();
  private CheckpointProgress progress = (done, total, tensor) -> {};
  private long doneBytes;
  private long totalBytes;

  /**
   * A writer.
   *
   * @param source directory whose other files are carried along
   */
  public ModelWriter(Path source) {
    this.source = source;
  }

  /** The most bytes of one safetensors file, at least 1; default 5 GB. */
  public ModelWriter maxShardBytes(long value) {
    if (value < 1) {
      throw new InvalidArgumentException(
          "ModelWriter: maxShardBytes must be at least 1, but is " + value);
    }
    maxShardBytes = value;
    return this;
  }

  /** Whether a target directory with files in it may be replaced; default: no. */
  public ModelWriter overwrite(boolean value) {
    overwrite = value;
    return this;
  }

  /**
   * Makes an interrupted writing go on where it stopped: shards that are complete are kept.
   *
   * @param key says all that the content depends on; another one starts from the beginning
   */
  public ModelWriter resumable(String key) {
    resumeKey = key;
    return this;
  }

  /** Writes a text file of its own beside the others. */
  public ModelWriter text(String name, String content) {
    texts.put(name, content);
    return this;
  }

  /** Who hears about the progress. */
  public ModelWriter progress(CheckpointProgress value) {
    progress = value;
    return this;
  }

  /**
   * What was written.
   *
   * @param files the safetensors files
   * @param bytes of all tensors
   */
  public record Written(List<String> files, long bytes) {
    /** Keeps a copy of the list. */
    public Written {
      files = List.copyOf(files);
    }
  }

  /**
   * Writes.
   *
   * @param target a directory that does not exist, is empty, or may be overwritten
   * @param items the weights, in their order
   * @param config content of {@code config.json}
   * @throws CheckpointException if the target lies in the source or cannot be written
   */
  public Written write(Path target, List<ModelItem> items, JsonObject config) {
    requireOtherDirectory(target);
    doneBytes = 0;
    totalBytes = items.stream().mapToLong(item -> item.sourceBytes() * item.passes()).sum();
    Map<String, List<ModelItem>> shards =
        ShardPlan.assign(items, ModelItem::plannedBytes, maxShardBytes);
    try (AtomicDirectory directory = new AtomicDirectory(target, overwrite, resumeKey)) {
      Map<String, String> fileOfTensor = new LinkedHashMap<>();
      long bytes = 0;
      for (Map.Entry<String, List<ModelItem>> shard : shards.entrySet()) {
        Path path = directory.path().resolve(shard.getKey());
        List<TensorSpec> specs =
            directory.has(shard.getKey())
                ? written(path, shard.getValue())
                : writeShard(path, shard.getValue());
        specs.forEach(spec -> fileOfTensor.put(spec.name(), shard.getKey()));
        bytes += specs.stream().mapToLong(TensorSpec::byteSize).sum();
      }
      if (shards.size() > 1) {
        writeText(
            directory.path().resolve(SafetensorsStore.INDEX), ShardPlan.index(fileOfTensor, bytes));
      }
      carryFiles(directory);
      texts.forEach((name, content) -> writeText(directory.path().resolve(name), content));
      writeText(
          directory.path().resolve("config.json"), JsonStyle.PYTHON_INDENTED.write(config) + "\n");
      directory.commit();
      return new Written(List.copyOf(shards.keySet()), bytes);
    }
  }

  private void requireOtherDirectory(Path target) {
    Path from = source.toAbsolutePath().normalize();
    if (target.toAbsolutePath().normalize().startsWith(from)) {
      throw new CheckpointException(
          target,
          "write: the target must lie outside of the source " + from + "; name another directory");
    }
  }

  private List<TensorSpec> writeShard(Path path, List<ModelItem> items) {
    List<TensorSpec> specs = new ArrayList<>();
    items.forEach(item -> specs.addAll(item.prepare(() -> advance(item))));
    try (SafetensorsWriter writer =
        SafetensorsWriter.create(path, SafetensorsWriter.PYTORCH, specs)) {
      for (ModelItem item : items) {
        item.write(writer);
        advance(item);
      }
      writer.commit();
    }
    return specs;
  }

  /** What a shard of an earlier attempt holds: a shard has its name only once it is complete. */
  private List<TensorSpec> written(Path path, List<ModelItem> items) {
    for (ModelItem item : items) {
      for (int pass = 0; pass < item.passes(); pass++) {
        advance(item);
      }
    }
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      return file.names().stream().map(name -> file.info(name).spec()).toList();
    }
  }

  private void advance(ModelItem item) {
    doneBytes += item.sourceBytes();
    progress.progress(doneBytes, totalBytes, item.name());
  }

  private void carryFiles(AtomicDirectory directory) {
    List<Path> files;
    try (Stream<Path> entries = Files.list(source)) {
      files =
          entries
              .filter(Files::isRegularFile)
              .filter(file -> !NOT_CARRIED.matcher(file.getFileName().toString()).matches())
              .sorted()
              .toList();
    } catch (IOException e) {
      throw new CheckpointException(source, "write: cannot be listed: " + e.getMessage(), e);
    }
    files.forEach(directory::copy);
  }

  private static void writeText(Path path, String text) {
    AtomicFile.write(path, text.getBytes(StandardCharsets.UTF_8));
  }
}
