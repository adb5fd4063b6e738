package org.lorakernels.huggingface;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.Weight;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.safetensors.TensorInfo;

/**
 * A checkpoint in a directory: {@code config.json} and tensors, dense or 4-bit. Opening it reads
 * the headers; a weight is loaded when it is asked for, on the CPU without a copy.
 *
 * <p>Weights go by the names of transformers' modules ({@code
 * model.layers.0.self_attn.q_proj.weight}), whether they are quantised or not; what is stored
 * beside a quantised weight does not show.
 */
public final class Checkpoint implements AutoCloseable {
  private static final String CONFIG = "config.json";
  private static final String QUANTIZATION = "quantization_config";

  private final Device device;
  private final Path directory;
  private final JsonObject config;
  private final SafetensorsStore store;
  private final Map<String, QuantState> quantStates;
  private final List<String> names;

  private Checkpoint(Device device, Path directory, JsonObject config, SafetensorsStore store) {
    this.device = device;
    this.directory = directory;
    this.config = config;
    this.store = store;
    this.quantStates = readQuantStates(store);
    this.names = weightNames(store, quantStates);
  }

  /**
   * Opens a checkpoint.
   *
   * @param device where its weights are put; must stay open while they are loaded
   * @param directory with {@code config.json} and {@code model.safetensors} or its shards
   * @throws CheckpointException if a file is missing or malformed
   * @throws UnsupportedException if it is quantised by another method than bitsandbytes' 4 bits
   */
  public static Checkpoint open(Device device, Path directory) {
    JsonObject config = readConfig(directory);
    SafetensorsStore store = SafetensorsStore.open(directory);
    try {
      requireReadable(directory, config);
      return new Checkpoint(device, directory, config, store);
    } catch (RuntimeException e) {
      store.close();
      throw e;
    }
  }

  /**
   * The content of {@code config.json} in {@code directory}.
   *
   * @throws CheckpointException if it is missing or malformed
   */
  public static JsonObject readConfig(Path directory) {
    Path path = directory.resolve(CONFIG);
    if (!Files.isRegularFile(path)) {
      throw new CheckpointException(
          directory,
          "checkpoint: expected a directory with "
              + CONFIG
              + ", but there is none; name the directory"
              + " that transformers' save_pretrained wrote, or that was downloaded whole");
    }
    try {
      return JsonReader.parseObject(Files.readAllBytes(path));
    } catch (JsonException e) {
      throw new CheckpointException(path, "config: " + e.getMessage() + "; download it again", e);
    } catch (IOException e) {
      throw new CheckpointException(path, "config: cannot be read: " + e.getMessage(), e);
    }
  }

  private static void requireReadable(Path directory, JsonObject config) {
    Optional<JsonObject> quantization;
    boolean fourBit;
    String method;
    try {
      quantization = config.findObject(QUANTIZATION);
      method = quantization.flatMap(q -> q.findString("quant_method")).orElse("bitsandbytes");
      fourBit = quantization.flatMap(q -> q.findBool("load_in_4bit")).orElse(false);
    } catch (JsonException e) {
      throw new CheckpointException(directory.resolve(CONFIG), "config: " + e.getMessage(), e);
    }
    if (quantization.isPresent() && !(method.equals("bitsandbytes") && fourBit)) {
      throw new UnsupportedException(
          "checkpoint "
              + directory
              + ": quantised by \""
              + method
              + "\""
              + (method.equals("bitsandbytes") ? " in 8 bits" : "")
              + ", but only dense weights and bitsandbytes' 4 bits are read; take the dense"
              + " checkpoint and quantise that");
    }
  }

  private static Map<String, QuantState> readQuantStates(SafetensorsStore store) {
    Map<String, QuantState> states = new HashMap<>();
    for (String key : store.names()) {
      if (FourBitKeys.isQuantState(key)) {
        states.put(FourBitKeys.weightOf(key), readQuantState(store, key));
      }
    }
    return states;
  }

  private static QuantState readQuantState(SafetensorsStore store, String key) {
    long length = store.info(key).byteSize();
    byte[] json = new byte[(int) Math.min(length, JsonReader.MAX_BYTES)];
    store.read(key, 0, json.length).get(json);
    try {
      return QuantState.parse(json);
    } catch (JsonException | ArithmeticException e) {
      throw new CheckpointException(
          store.path(), "checkpoint: \"" + key + "\": " + e.getMessage(), e);
    }
  }

  private static List<String> weightNames(
      SafetensorsStore store, Map<String, QuantState> quantStates) {
    Set<String> beside = new HashSet<>();
    quantStates
        .keySet()
        .forEach(weight -> FourBitKeys.TENSORS.forEach(suffix -> beside.add(weight + suffix)));
    List<String> names = new ArrayList<>(store.names());
    names.removeIf(name -> beside.contains(name) || FourBitKeys.isQuantState(name));
    return names;
  }

  /** The directory. */
  public Path directory() {
    return directory;
  }

  /** A copy of the content of {@code config.json}. */
  public JsonObject config() {
    return new JsonObject(config);
  }

  /** The names of all weights, quantised or not; read-only. */
  public List<String> tensorNames() {
    return Collections.unmodifiableList(names);
  }

  /** Whether there is a weight of that name. */
  public boolean contains(String name) {
    return names.contains(name);
  }

  /**
   * The names of the weights of linear layers: what transformers quantises; neither head nor
   * embeddings.
   */
  public List<String> linearWeights() {
    return names.stream()
        .filter(name -> LinearWeights.role(name, shape(name)) == LinearWeights.Role.PROJECTION)
        .toList();
  }

  /** Whether the weight is stored in 4 bits. */
  public boolean isQuantized(String name) {
    return quantStates.containsKey(name);
  }

  /** The dimensions of a weight; of a quantised one, before it was quantised. */
  public long[] shape(String name) {
    QuantState state = quantStates.get(name);
    return state != null ? state.shape().clone() : store.info(name).shape();
  }

  /**
   * A weight as it is stored, dense or 4-bit; to be closed by the caller. It may outlive this
   * checkpoint.
   */
  public Weight weight(String name) {
    return isQuantized(name) ? nf4(name) : dense(name);
  }

  /**
   * A dense weight; to be closed by the caller. It may outlive this checkpoint.
   *
   * @throws CheckpointException if there is none of that name, or it is quantised
   */
  public Tensor dense(String name) {
    if (isQuantized(name)) {
      throw new CheckpointException(
          store.path(),
          "checkpoint: \"" + name + "\" is quantised; ask for nf4(name) and dequantise that");
    }
    return store.tensor(device, name);
  }

  /**
   * A 4-bit weight; to be closed by the caller. It may outlive this checkpoint.
   *
   * @throws CheckpointException if there is none of that name, it is not quantised, or what is
   *     stored beside it does not fit it
   */
  public Nf4Tensor nf4(String name) {
    QuantState state = quantStates.get(name);
    if (state == null) {
      throw new CheckpointException(
          store.path(),
          "checkpoint: \""
              + name
              + "\""
              + (contains(name) ? " is not quantised; ask for dense(name)" : " does not exist"));
    }
    return new FourBitLoader(device, store, name, state).load();
  }

  /** Bytes of a weight as it is stored, with what is stored beside it. */
  public long byteSize(String name) {
    return stored(name).stream().mapToLong(TensorInfo::byteSize).sum();
  }

  /** The element type of a weight that is stored dense, which may be one not computed with. */
  public SafetensorsDtype storedDtype(String name) {
    return store.info(name).dtype();
  }

  /** A weight as it is stored, for a checkpoint that is written; this one stays open until then. */
  public ModelItem carried(String name) {
    return ModelItem.carried(store, stored(name));
  }

  private List<TensorInfo> stored(String name) {
    List<TensorInfo> tensors = new ArrayList<>(List.of(store.info(name)));
    if (isQuantized(name)) {
      tensors.add(store.info(name + FourBitKeys.quantState(quantStates.get(name).codeBook())));
      FourBitKeys.TENSORS.stream()
          .map(suffix -> name + suffix)
          .filter(store::contains)
          .map(store::info)
          .forEach(tensors::add);
    }
    return tensors;
  }

  /** Releases the mapped files once the weights that share them are closed; may be called again. */
  @Override
  public void close() {
    store.close();
  }
}
