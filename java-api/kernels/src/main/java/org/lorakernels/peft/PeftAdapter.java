package org.lorakernels.peft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.ShapeMismatchException;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;
import org.lorakernels.json.JsonException;
import org.lorakernels.safetensors.SafetensorsFile;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorInfo;

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

  private static final String PREFIX = "base_model.model.";
  private static final String A = ".lora_A.weight";
  private static final String B = ".lora_B.weight";

  private final Path directory;
  private final PeftConfig config;
  private final Map<String, LoraAdapter> modules;

  private PeftAdapter(Path directory, PeftConfig config, Map<String, LoraAdapter> modules) {
    this.directory = directory;
    this.config = config;
    this.modules = modules;
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
    requireTensors(directory);
    Map<String, LoraAdapter> modules = new LinkedHashMap<>();
    try (SafetensorsFile file = SafetensorsFile.open(directory.resolve(FILE))) {
      for (String name : file.names()) {
        requireKnown(file, name);
        if (name.endsWith(A)) {
          String module = name.substring(PREFIX.length(), name.length() - A.length());
          LoraConfig lora = hyperparameters(file, config, module).seed(modules.size());
          modules.put(module, loadModule(device, file, module, lora));
        }
      }
      return new PeftAdapter(directory, config, modules);
    } catch (RuntimeException e) {
      modules.values().forEach(LoraAdapter::close);
      throw e;
    }
  }

  private static void requireTensors(Path directory) {
    if (Files.isRegularFile(directory.resolve(FILE))) {
      return;
    }
    boolean pickled = Files.exists(directory.resolve("adapter_model.bin"));
    throw new CheckpointException(
        directory,
        "adapter: expected "
            + FILE
            + ", but there is none"
            + (pickled
                ? "; adapter_model.bin is not read: convert it in Python with"
                    + " safetensors.torch.save_file(torch.load(\"adapter_model.bin\"), \""
                    + FILE
                    + "\")"
                : ""));
  }

  /** Refuses every tensor that is not half of a LoRA adapter with its other half. */
  private static void requireKnown(SafetensorsFile file, String name) {
    boolean a = name.endsWith(A);
    if (!name.startsWith(PREFIX) || !(a || name.endsWith(B))) {
      throw new CheckpointException(
          file.path(),
          "adapter: tensors must be named "
              + PREFIX
              + "MODULE"
              + A
              + " or "
              + B
              + ", but there is \""
              + name
              + "\""
              + reason(name)
              + "; merge the adapter into its model in PEFT, or train one without it");
    }
    String other = a ? replaceEnd(name, A, B) : replaceEnd(name, B, A);
    if (!file.contains(other)) {
      throw new CheckpointException(
          file.path(),
          "adapter: \""
              + name
              + "\" needs \""
              + other
              + "\", which is missing; save the adapter again");
    }
  }

  private static String reason(String name) {
    if (name.contains("lora_embedding_")) {
      return ", of an adapted embedding";
    }
    if (name.contains("lora_magnitude_vector")) {
      return ", of DoRA";
    }
    return name.endsWith(".bias") ? ", a bias" : "";
  }

  private static String replaceEnd(String name, String end, String replacement) {
    return name.substring(0, name.length() - end.length()) + replacement;
  }

  private static LoraConfig hyperparameters(
      SafetensorsFile file, PeftConfig config, String module) {
    LoraConfig lora;
    try {
      lora = config.lora(module);
    } catch (JsonException e) {
      throw new CheckpointException(
          file.path().resolveSibling(PeftConfig.FILE),
          "adapter: " + module + ": " + e.getMessage(),
          e);
    }
    TensorInfo a = file.info(PREFIX + module + A);
    TensorInfo b = file.info(PREFIX + module + B);
    if (a.shape().length != 2 || b.shape().length != 2) {
      throw new CheckpointException(
          file.path(),
          "adapter: "
              + module
              + ": A and B must be matrices, but are "
              + a.spec()
              + " and "
              + b.spec());
    }
    if (a.shape()[0] != lora.rank() || b.shape()[1] != lora.rank()) {
      throw new CheckpointException(
          file.path(),
          "adapter: "
              + module
              + ": the rank in "
              + PeftConfig.FILE
              + " is "
              + lora.rank()
              + ", so A must be ["
              + lora.rank()
              + ", in] and B [out, "
              + lora.rank()
              + "], but they are "
              + Arrays.toString(a.shape())
              + " and "
              + Arrays.toString(b.shape()));
    }
    if (a.dtype() != b.dtype() || a.dtype().dtype().filter(DType::isFloat).isEmpty()) {
      throw new CheckpointException(
          file.path(),
          "adapter: "
              + module
              + ": A and B must both be F32, BF16 or F16, but are "
              + a.dtype()
              + " and "
              + b.dtype());
    }
    return lora.dtype(a.dtype().dtype().get());
  }

  private static LoraAdapter loadModule(
      Device device, SafetensorsFile file, String module, LoraConfig lora) {
    try (Tensor mappedA = file.tensor(device, PREFIX + module + A);
        Tensor mappedB = file.tensor(device, PREFIX + module + B)) {
      Tensor a = mappedA.copy();
      try {
        return LoraAdapter.of(lora, a, mappedB.copy());
      } catch (RuntimeException e) {
        a.close();
        throw e;
      }
    }
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
    Map<String, Tensor> tensors = new LinkedHashMap<>();
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
    if (described.rank() != actual.rank()
        || described.alpha() != actual.alpha()
        || described.rsLora() != actual.rsLora()) {
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
    save(target, config, modules);
  }

  // ---- using

  /** What {@code adapter_config.json} says. */
  public PeftConfig config() {
    return config;
  }

  /** The adapters by module, in the file's order; read-only, owned by this object. */
  public Map<String, LoraAdapter> modules() {
    return Collections.unmodifiableMap(modules);
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

  /** Closes the adapters; may be called again. */
  @Override
  public void close() {
    modules.values().forEach(LoraAdapter::close);
  }
}
