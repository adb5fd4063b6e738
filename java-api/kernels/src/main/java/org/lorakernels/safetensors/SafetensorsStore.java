package org.lorakernels.safetensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.Tensor;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.json.JsonString;
import org.lorakernels.json.JsonValue;

/**
 * The tensors of a checkpoint, be it one file ({@code model.safetensors}) or shards with an index
 * ({@code model.safetensors.index.json}). May be used by several threads.
 */
public final class SafetensorsStore implements AutoCloseable {
  /** The name of a checkpoint's only file. */
  public static final String SINGLE = "model.safetensors";

  /** The name of the file that says which shard holds which tensor. */
  public static final String INDEX = "model.safetensors.index.json";

  private final Path path;
  private final Collection<SafetensorsFile> files;
  private final Map<String, SafetensorsFile> fileOfTensor;

  private SafetensorsStore(
      Path path, Collection<SafetensorsFile> files, Map<String, SafetensorsFile> fileOfTensor) {
    this.path = path;
    this.files = files;
    this.fileOfTensor = fileOfTensor;
  }

  /**
   * Opens a checkpoint's tensors.
   *
   * @param path a directory with one of the two files, or one of the two files by any name
   * @throws CheckpointException if there is neither, a shard is missing or malformed, or the index
   *     names a tensor that its shard does not hold
   */
  public static SafetensorsStore open(Path path) {
    if (Files.isDirectory(path)) {
      return openDirectory(path);
    }
    return path.toString().endsWith(".json") ? openIndex(path) : openSingle(path);
  }

  private static SafetensorsStore openDirectory(Path directory) {
    if (Files.exists(directory.resolve(SINGLE))) {
      return openSingle(directory.resolve(SINGLE));
    }
    if (Files.exists(directory.resolve(INDEX))) {
      return openIndex(directory.resolve(INDEX));
    }
    boolean pickled =
        Files.exists(directory.resolve("pytorch_model.bin"))
            || Files.exists(directory.resolve("pytorch_model.bin.index.json"));
    throw new CheckpointException(
        directory,
        "checkpoint: expected "
            + SINGLE
            + " or "
            + INDEX
            + ", but there is neither"
            + (pickled
                ? "; there is pytorch_model.bin: convert it by loading it in transformers and"
                    + " calling save_pretrained"
                : ""));
  }

  private static SafetensorsStore openSingle(Path path) {
    SafetensorsFile file = SafetensorsFile.open(path);
    Map<String, SafetensorsFile> fileOfTensor = new LinkedHashMap<>();
    file.names().forEach(name -> fileOfTensor.put(name, file));
    return new SafetensorsStore(path, List.of(file), fileOfTensor);
  }

  private static SafetensorsStore openIndex(Path index) {
    Map<String, String> shardOfTensor = readIndex(index);
    List<String> shards = new ArrayList<>(new TreeSet<>(shardOfTensor.values()));
    requireShards(index, shards);
    Map<String, SafetensorsFile> files = new LinkedHashMap<>();
    try {
      for (String shard : shards) {
        files.put(shard, SafetensorsFile.open(index.resolveSibling(shard)));
      }
      Map<String, SafetensorsFile> fileOfTensor = new LinkedHashMap<>();
      shardOfTensor.forEach((tensor, shard) -> fileOfTensor.put(tensor, files.get(shard)));
      requireTensors(index, fileOfTensor);
      return new SafetensorsStore(index, files.values(), fileOfTensor);
    } catch (RuntimeException e) {
      files.values().forEach(SafetensorsFile::close);
      throw e;
    }
  }

  private static Map<String, String> readIndex(Path index) {
    try {
      JsonObject document = JsonReader.parseObject(Files.readAllBytes(index));
      Map<String, String> shardOfTensor = new LinkedHashMap<>();
      for (Map.Entry<String, JsonValue> entry :
          document.object("weight_map").members().entrySet()) {
        if (!(entry.getValue() instanceof JsonString shard) || !isPlainName(shard.value())) {
          throw new CheckpointException(
              index,
              "index: weight_map must give \""
                  + entry.getKey()
                  + "\" the name of a file in the same directory, but gives it "
                  + entry.getValue());
        }
        shardOfTensor.put(entry.getKey(), shard.value());
      }
      return shardOfTensor;
    } catch (JsonException e) {
      throw new CheckpointException(
          index, "index: " + e.getMessage() + "; download the file again", e);
    } catch (IOException e) {
      throw new CheckpointException(index, "index: cannot be read: " + e.getMessage(), e);
    }
  }

  /** Whether {@code name} stays in its directory: no separators, no "..". */
  private static boolean isPlainName(String name) {
    try {
      return !name.isEmpty()
          && !name.equals(".")
          && !name.equals("..")
          && name.indexOf('/') < 0
          && name.indexOf('\\') < 0
          && Path.of(name).getNameCount() == 1;
    } catch (InvalidPathException e) {
      return false;
    }
  }

  private static void requireShards(Path index, List<String> shards) {
    List<String> missing =
        shards.stream().filter(shard -> !Files.exists(index.resolveSibling(shard))).toList();
    if (!missing.isEmpty()) {
      throw new CheckpointException(
          index,
          "index: "
              + missing.size()
              + " of "
              + shards.size()
              + " shards are missing: "
              + String.join(", ", missing)
              + "; download them into the same directory");
    }
  }

  private static void requireTensors(Path index, Map<String, SafetensorsFile> fileOfTensor) {
    fileOfTensor.forEach(
        (tensor, file) -> {
          if (!file.contains(tensor)) {
            throw new CheckpointException(
                index,
                "index: tensor \""
                    + tensor
                    + "\" must be in "
                    + file.path().getFileName()
                    + ", but is not; index and shards are of different versions: download both"
                    + " again");
          }
        });
  }

  /** The file, or the index of the shards. */
  public Path path() {
    return path;
  }

  /** The names of all tensors: in a single file's order, or the index's. */
  public List<String> names() {
    return new ArrayList<>(fileOfTensor.keySet());
  }

  /** Whether there is a tensor of that name. */
  public boolean contains(String name) {
    return fileOfTensor.containsKey(name);
  }

  /** The files in order: one, or the shards. */
  public Collection<SafetensorsFile> files() {
    return Collections.unmodifiableCollection(files);
  }

  /** The bytes of all tensors. */
  public long byteSize() {
    return fileOfTensor.keySet().stream().mapToLong(name -> info(name).byteSize()).sum();
  }

  /** As {@link SafetensorsFile#info}. */
  public TensorInfo info(String name) {
    return file(name).info(name);
  }

  /** As {@link SafetensorsFile#tensor}. */
  public Tensor tensor(Device device, String name) {
    return file(name).tensor(device, name);
  }

  /** As {@link SafetensorsFile#bytes}. */
  public Tensor bytes(Device device, String name) {
    return file(name).bytes(device, name);
  }

  /** As {@link SafetensorsFile#read}. */
  public ByteBuffer read(String name, long from, int length) {
    return file(name).read(name, from, length);
  }

  private SafetensorsFile file(String name) {
    SafetensorsFile file = fileOfTensor.get(name);
    if (file == null) {
      throw new CheckpointException(
          path, "checkpoint: there is no tensor \"" + name + "\" among its " + fileOfTensor.size());
    }
    return file;
  }

  /** Releases the mappings once the tensors that share them are closed; may be called again. */
  @Override
  public void close() {
    files.forEach(SafetensorsFile::close);
  }
}
