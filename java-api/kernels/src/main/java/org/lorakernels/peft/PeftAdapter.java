package org.lorakernels.peft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.ShapeMismatchException;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;
import org.lorakernels.safetensors.SafetensorsFile;
import org.lorakernels.safetensors.SafetensorsWriter;

/**
 * The LoRA adapters of a model, by the modules that they adapt. Owns the adapters: closing it
 * closes them.
 *
 * <p>A module's name is that of its weight in the checkpoint without {@code .weight}: {@code
 * model.layers.0.self_attn.q_proj}.
 */
public final class PeftAdapter implements AutoCloseable {
  /** The name of the file with the tensors. */
  public static final String FILE = "adapter_model.safetensors";

  /** What follows a module in the name of its magnitudes, of DoRA. */
  public static final String MAGNITUDE = ".lora_magnitude_vector";

  static final String PREFIX = "base_model.model.";
  static final String A = ".lora_A.weight";
  static final String B = ".lora_B.weight";

  /** alpha is written in decimal, and may have to stand for alpha / sqrt(rank). */
  private static final float SCALING_TOLERANCE = 1e-6f;

  private final Path directory;
  private final PeftConfig config;
  private final Map<String, LoraAdapter> modules;
  private final Map<String, Tensor> magnitudes;
  private final SafetensorsFile mapped; // null: the tensors are copies

  /** Takes over the adapters, the magnitudes and the file. */
  PeftAdapter(
      Path directory,
      PeftConfig config,
      Map<String, LoraAdapter> modules,
      Map<String, Tensor> magnitudes,
      SafetensorsFile mapped) {
    this.directory = directory;
    this.config = config;
    this.modules = modules;
    this.magnitudes = magnitudes;
    this.mapped = mapped;
  }

  // ---- loading

  /**
   * Loads adapters, ready to serve or to be trained further: their tensors are copies, not the
   * file.
   *
   * @param device where to put them
   * @param directory with {@code adapter_config.json} and {@code adapter_model.safetensors}
   * @throws CheckpointException if a file is missing or malformed, tensors do not fit the
   *     configuration or one another, or it holds anything but LoRA on linear layers
   */
  public static PeftAdapter load(Device device, Path directory) {
    PeftConfig config = PeftConfig.read(directory);
    config.requirePlain(directory);
    return new PeftAdapterReader(device, directory, config, false).read();
  }

  /**
   * Opens adapters that are only read, as merging does: on the CPU their tensors are the mapped
   * file, which costs memory where it is used and until {@link #evict}. They must not be trained.
   * Otherwise like {@link #load}.
   */
  public static PeftAdapter map(Device device, Path directory) {
    PeftConfig config = PeftConfig.read(directory);
    config.requirePlain(directory);
    return new PeftAdapterReader(device, directory, config, true).read();
  }

  /**
   * Like {@link #load}, but DoRA is loaded too: what it adds to a weight is not scaling * B * A
   * then, but depends on {@link #magnitudes}.
   */
  public static PeftAdapter loadWithMagnitudes(Device device, Path directory) {
    return new PeftAdapterReader(device, directory, PeftConfig.read(directory), false).read();
  }

  // ---- saving

  /**
   * Saves adapters so that PEFT loads them. Each of the two files appears whole or not at all; the
   * configuration comes last.
   *
   * @param directory is made if it does not exist; files of the two names in it are replaced
   * @param config describes the adapters; {@link PeftConfig#describing} makes one
   * @param modules the adapters by module; not closed
   * @throws InvalidArgumentException if the configuration does not describe the adapters
   * @throws CheckpointException if the files cannot be written; old files of a name stay
   */
  public static void save(Path directory, PeftConfig config, Map<String, LoraAdapter> modules) {
    save(directory, config, modules, Map.of());
  }

  /**
   * {@link #save(Path, PeftConfig, Map)}, of DoRA.
   *
   * @param magnitudes [out features] of every module where the configuration says DoRA, otherwise
   *     empty; not closed
   */
  public static void save(
      Path directory,
      PeftConfig config,
      Map<String, LoraAdapter> modules,
      Map<String, Tensor> magnitudes) {
    if (!magnitudes.keySet().equals(config.dora() ? modules.keySet() : Set.of())) {
      throw new InvalidArgumentException(
          "PeftAdapter.save: there must be magnitudes of "
              + (config.dora() ? "every module" : "no module")
              + " (use_dora of the configuration is "
              + config.dora()
              + "), but there are of "
              + magnitudes.keySet());
    }
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    magnitudes.forEach((module, tensor) -> tensors.put(PREFIX + module + MAGNITUDE, tensor));
    modules.forEach(
        (module, adapter) -> {
          requireDescribed(config, module, adapter);
          tensors.put(PREFIX + module + A, adapter.a());
          tensors.put(PREFIX + module + B, adapter.b());
        });
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new CheckpointException(directory, "adapter: the directory cannot be made: " + e, e);
    }
    SafetensorsWriter.write(directory.resolve(FILE), SafetensorsWriter.PYTORCH, tensors);
    config.write(directory);
  }

  /** PEFT computes rank and scaling from the configuration alone. */
  private static void requireDescribed(PeftConfig config, String module, LoraAdapter adapter) {
    if (!config.targets(module)) {
      throw new InvalidArgumentException(
          "PeftAdapter.save: target_modules of the configuration must name "
              + module
              + ", but do not");
    }
    LoraConfig described = config.lora(module);
    LoraConfig actual = adapter.config();
    float scaling = actual.scaling();
    if (described.rank() != actual.rank()
        || Math.abs(described.scaling() - scaling) > SCALING_TOLERANCE * Math.abs(scaling)) {
      throw new InvalidArgumentException(
          "PeftAdapter.save: the configuration must describe the adapter of "
              + module
              + " ("
              + actual
              + "), but says "
              + described
              + "; use PeftConfig.describing");
    }
  }

  /** Saves these adapters; see {@link #save(Path, PeftConfig, Map)}. */
  public void save(Path target) {
    save(target, config, modules, magnitudes);
  }

  // ---- using

  /** The directory that it was loaded from. */
  public Path directory() {
    return directory;
  }

  /** What {@code adapter_config.json} says. */
  public PeftConfig config() {
    return config;
  }

  /** The adapters by module, in the file's order; read-only, owned by this object. */
  public Map<String, LoraAdapter> modules() {
    return Collections.unmodifiableMap(modules);
  }

  /**
   * DoRA's magnitudes, [out features] in the adapters' type, by module; empty without DoRA. Owned
   * by this object.
   */
  public Map<String, Tensor> magnitudes() {
    return Collections.unmodifiableMap(magnitudes);
  }

  /**
   * Checks that the adapter of {@code module} fits a weight.
   *
   * @throws ShapeMismatchException if it does not
   * @throws InvalidArgumentException if there is no adapter of that module
   */
  public void requireFits(String module, Weight weight) {
    requireFits(module, weight.rows(), weight.cols());
  }

  /**
   * Checks that the adapter of {@code module} fits a weight [rows = out features, cols = in
   * features].
   */
  public void requireFits(String module, long rows, long cols) {
    LoraAdapter adapter = modules.get(module);
    if (adapter == null) {
      throw new InvalidArgumentException(
          "adapter "
              + directory
              + ": there is none for "
              + module
              + "; adapted are "
              + modules.keySet());
    }
    if (adapter.rows() != rows || adapter.cols() != cols) {
      throw new ShapeMismatchException(
          "adapter "
              + directory
              + ": "
              + module
              + " was trained on a weight ["
              + adapter.rows()
              + ", "
              + adapter.cols()
              + "], but the model's is ["
              + rows
              + ", "
              + cols
              + "]; take the model that the adapter names: "
              + config.baseModel().orElse("(not named)"));
    }
  }

  /**
   * Lets what was read of a mapped adapter leave the memory of the process; it is read again where
   * it is used again. Does nothing to an adapter that was loaded.
   */
  public void evict() {
    if (mapped != null) {
      mapped.evict();
    }
  }

  /** Closes the adapters; may be called again. */
  @Override
  public void close() {
    if (mapped != null) {
      mapped.close();
    }
    modules.values().forEach(LoraAdapter::close);
    magnitudes.values().forEach(Tensor::close);
  }
}
