package org.lorakernels.peft;

import static org.lorakernels.peft.PeftAdapter.A;
import static org.lorakernels.peft.PeftAdapter.B;
import static org.lorakernels.peft.PeftAdapter.FILE;
import static org.lorakernels.peft.PeftAdapter.MAGNITUDE;
import static org.lorakernels.peft.PeftAdapter.PREFIX;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.Tensor;
import org.lorakernels.json.JsonException;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsFile;
import org.lorakernels.safetensors.TensorInfo;

/** Reads the tensors of an adapter and checks them against its configuration and one another. */
final class PeftAdapterReader {
  private final Device device;
  private final Path directory;
  private final PeftConfig config;
  private final boolean map;

  PeftAdapterReader(Device device, Path directory, PeftConfig config, boolean map) {
    this.device = device;
    this.directory = directory;
    this.config = config;
    this.map = map;
  }

  PeftAdapter read() {
    requireTensors();
    Map<String, LoraAdapter> modules = new LinkedHashMap<>();
    Map<String, Tensor> magnitudes = new LinkedHashMap<>();
    SafetensorsFile file = SafetensorsFile.open(directory.resolve(FILE));
    boolean keep = false;
    try {
      for (String name : file.names()) {
        requireKnown(file, name);
        if (name.endsWith(A)) {
          String module = name.substring(PREFIX.length(), name.length() - A.length());
          LoraConfig lora = hyperparameters(file, module).seed(modules.size());
          modules.put(module, adapter(file, module, lora));
          if (config.dora()) {
            magnitudes.put(module, magnitude(file, module));
          }
        }
      }
      keep = map;
      return new PeftAdapter(directory, config, modules, magnitudes, map ? file : null);
    } catch (RuntimeException e) {
      modules.values().forEach(LoraAdapter::close);
      magnitudes.values().forEach(Tensor::close);
      throw e;
    } finally {
      if (!keep) {
        file.close();
      }
    }
  }

  private void requireTensors() {
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

  /** Refuses every tensor that is not a part of an adapter whose other parts are there. */
  private void requireKnown(SafetensorsFile file, String name) {
    boolean a = name.endsWith(A);
    boolean magnitude = config.dora() && name.endsWith(MAGNITUDE);
    if (!name.startsWith(PREFIX) || !(a || magnitude || name.endsWith(B))) {
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
    requireBeside(
        file, name, a ? replaceEnd(name, A, B) : replaceEnd(name, magnitude ? MAGNITUDE : B, A));
    if (a && config.dora()) {
      requireBeside(file, name, replaceEnd(name, A, MAGNITUDE));
    }
  }

  private static void requireBeside(SafetensorsFile file, String name, String other) {
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

  private LoraConfig hyperparameters(SafetensorsFile file, String module) {
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

  private LoraAdapter adapter(SafetensorsFile file, String module, LoraConfig lora) {
    Tensor a = tensor(file, PREFIX + module + A);
    try {
      return LoraAdapter.of(lora, a, tensor(file, PREFIX + module + B));
    } catch (RuntimeException e) {
      a.close();
      throw e;
    }
  }

  private Tensor tensor(SafetensorsFile file, String name) {
    Tensor mapped = file.tensor(device, name);
    if (map) {
      return mapped;
    }
    try (mapped) {
      return mapped.copy();
    }
  }

  private Tensor magnitude(SafetensorsFile file, String module) {
    String name = PREFIX + module + MAGNITUDE;
    TensorInfo info = file.info(name);
    long rows = file.info(PREFIX + module + B).shape()[0];
    SafetensorsDtype dtype = file.info(PREFIX + module + B).dtype();
    if (info.dtype() != dtype || !Arrays.equals(info.shape(), new long[] {rows})) {
      throw new CheckpointException(
          file.path(),
          "adapter: "
              + module
              + ": magnitudes must be "
              + dtype
              + " ["
              + rows
              + "] (rows of B), but are "
              + info.spec());
    }
    return tensor(file, name);
  }
}
