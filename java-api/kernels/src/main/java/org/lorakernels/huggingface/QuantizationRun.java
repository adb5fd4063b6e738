package org.lorakernels.huggingface;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonStyle;
import org.lorakernels.safetensors.AtomicFile;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorInfo;
import org.lorakernels.safetensors.TensorSpec;

/**
 * One quantisation: plan, write, report.
 *
 * <p>The header of a safetensors file stands before its data and gives every tensor's length, and
 * the quant_state of a double-quantised weight contains a number whose digits are known only once
 * the weight is quantised. Such weights are therefore quantised twice, first for that number alone:
 * quantising is deterministic and much faster than a disk, and nothing needs to be kept.
 */
final class QuantizationRun implements AutoCloseable {
  private static final String HEAD = "lm_head.weight";
  private static final String EMBEDDINGS = "model.embed_tokens.weight";
  private static final int COPY_BYTES = 8 << 20;

  /** Files that hold weights, or that are written anew. */
  private static final Pattern NOT_CARRIED =
      Pattern.compile(
          "\\..*|config\\.json|.*\\.(safetensors|bin|pt|pth|ckpt|h5|msgpack|gguf|onnx|ot)(\\.index\\.json)?");

  /**
   * A tensor of the source and what becomes of it.
   *
   * @param source as it is
   * @param state how it is quantised; null: it is carried along
   * @param results the tensors written
   */
  private record Planned(TensorInfo source, QuantState state, List<TensorSpec> results) {
    long resultBytes() {
      return results.stream().mapToLong(TensorSpec::byteSize).sum();
    }
  }

  private final CheckpointQuantizer settings;
  private final Device device;
  private final JsonObject config;
  private final SafetensorsStore store;
  private final Set<String> quantized = new LinkedHashSet<>();
  private final Set<String> kept = new LinkedHashSet<>();
  private final Set<String> unknown = new LinkedHashSet<>();
  private long doneBytes;
  private long totalBytes;

  QuantizationRun(CheckpointQuantizer settings, Device device) {
    this.settings = settings;
    this.device = device;
    this.config = Checkpoint.readConfig(settings.source());
    this.store = SafetensorsStore.open(settings.source());
  }

  @Override
  public void close() {
    store.close();
  }

  QuantizationReport writeTo(Path target) {
    requireDense();
    classify();
    requireOtherDirectory(target);
    try (AtomicDirectory directory = new AtomicDirectory(target, settings.overwrites())) {
      List<Planned> planned = plan();
      Map<String, List<Planned>> shards =
          ShardPlan.assign(planned, Planned::resultBytes, settings.maxShardBytes());
      shards.forEach((file, tensors) -> writeShard(directory.path().resolve(file), tensors));
      if (shards.size() > 1) {
        writeIndex(directory.path(), shards);
      }
      carryFiles(directory);
      writeConfig(directory.path(), planned);
      directory.commit();
      return report(planned, shards);
    }
  }

  // ---- deciding

  private void requireDense() {
    if (config.has("quantization_config")
        || store.names().stream().anyMatch(FourBitKeys::isQuantState)) {
      throw new CheckpointException(
          settings.source(),
          "quantize: expected a dense checkpoint, but it is quantised already; take"
              + " the one that it was made from");
    }
  }

  private void requireOtherDirectory(Path target) {
    Path from = settings.source().toAbsolutePath().normalize();
    if (target.toAbsolutePath().normalize().startsWith(from)) {
      throw new CheckpointException(
          target,
          "quantize: the target must lie outside of the source "
              + from
              + "; name another directory");
    }
  }

  /** Sorts the source's tensors into the three lists. */
  private void classify() {
    for (String name : store.names()) {
      LinearWeights.Role role = LinearWeights.role(name, store.info(name).shape());
      boolean included = role != LinearWeights.Role.PROJECTION && settings.includes(name);
      if (included && store.info(name).shape().length != 2) {
        throw new UnsupportedException(
            "quantize: only matrices are quantised, but "
                + store.info(name).spec()
                + " was included; make the pattern narrower");
      }
      if (role == LinearWeights.Role.PROJECTION || included) {
        quantized.add(name);
      } else if (!repeatsTiedEmbeddings(name)) {
        (role == LinearWeights.Role.UNKNOWN ? unknown : kept).add(name);
      }
    }
    if (quantized.isEmpty()) {
      throw new CheckpointException(
          settings.source(),
          "quantize: no weight of a linear layer was found by its name; include some of "
              + unknown);
    }
  }

  private boolean repeatsTiedEmbeddings(String name) {
    return name.equals(HEAD)
        && tiesEmbeddings()
        && store.contains(EMBEDDINGS)
        && sameBytes(HEAD, EMBEDDINGS);
  }

  private boolean tiesEmbeddings() {
    try {
      return config.findBool("tie_word_embeddings").orElse(false);
    } catch (JsonException e) {
      throw new CheckpointException(settings.source(), "config: " + e.getMessage(), e);
    }
  }

  private boolean sameBytes(String a, String b) {
    long size = store.info(a).byteSize();
    boolean same = size == store.info(b).byteSize();
    for (long from = 0; same && from < size; from += COPY_BYTES) {
      int length = (int) Math.min(COPY_BYTES, size - from);
      same = store.read(a, from, length).equals(store.read(b, from, length));
    }
    return same;
  }

  // ---- planning

  private List<Planned> plan() {
    boolean twice = settings.format().isDoubleQuantized();
    totalBytes = bytesOf(kept) + bytesOf(unknown) + bytesOf(quantized) * (twice ? 2 : 1);
    List<Planned> planned = new ArrayList<>();
    for (String name : store.names()) {
      TensorInfo info = store.info(name);
      if (quantized.contains(name)) {
        QuantState state = quantState(info);
        planned.add(new Planned(info, state, FourBitWriter.specs(name, state)));
      } else if (kept.contains(name) || unknown.contains(name)) {
        planned.add(new Planned(info, null, List.of(info.spec())));
      }
    }
    return planned;
  }

  private long bytesOf(Set<String> names) {
    return names.stream().mapToLong(name -> store.info(name).byteSize()).sum();
  }

  private QuantState quantState(TensorInfo info) {
    DType dtype =
        info.dtype()
            .dtype()
            .filter(DType::isFloat)
            .orElseThrow(
                () ->
                    new UnsupportedException(
                        "quantize: weights must be F32, BF16 or F16, but the checkpoint has "
                            + info.spec()
                            + "; convert it first"));
    Nf4Format format = settings.format();
    QuantState.Nested nested = null;
    if (format.isDoubleQuantized()) {
      nested = new QuantState.Nested(Nf4Format.NESTED_BLOCK_SIZE, nestedOffset(info.name()));
      advance(info);
    }
    return new QuantState(format.codeBook(), format.blockSize(), dtype, info.shape(), nested);
  }

  private float nestedOffset(String name) {
    try (Nf4Tensor weight = quantizeWeight(name)) {
      return weight.nestedOffset();
    }
  }

  private Nf4Tensor quantizeWeight(String name) {
    try (Tensor dense = store.tensor(device, name)) {
      return LoraKernels.quantize(dense, settings.format());
    }
  }

  // ---- writing

  private void writeShard(Path path, List<Planned> tensors) {
    List<TensorSpec> specs = tensors.stream().flatMap(tensor -> tensor.results().stream()).toList();
    try (SafetensorsWriter writer =
        SafetensorsWriter.create(path, SafetensorsWriter.PYTORCH, specs)) {
      for (Planned tensor : tensors) {
        if (tensor.state() == null) {
          carry(writer, tensor.source());
        } else {
          try (Nf4Tensor weight = quantizeWeight(tensor.source().name())) {
            FourBitWriter.write(writer, tensor.source().name(), tensor.state(), weight);
          }
        }
        advance(tensor.source());
      }
      writer.commit();
    }
  }

  private void carry(SafetensorsWriter writer, TensorInfo tensor) {
    for (long from = 0; from < tensor.byteSize(); from += COPY_BYTES) {
      int length = (int) Math.min(COPY_BYTES, tensor.byteSize() - from);
      writer.write(tensor.name(), from, store.read(tensor.name(), from, length));
    }
  }

  private void advance(TensorInfo tensor) {
    doneBytes += tensor.byteSize();
    settings.progress().progress(doneBytes, totalBytes, tensor.name());
  }

  private static void writeIndex(Path directory, Map<String, List<Planned>> shards) {
    Map<String, String> fileOfTensor = new LinkedHashMap<>();
    long bytes = 0;
    for (Map.Entry<String, List<Planned>> shard : shards.entrySet()) {
      for (Planned tensor : shard.getValue()) {
        tensor.results().forEach(result -> fileOfTensor.put(result.name(), shard.getKey()));
        bytes += tensor.resultBytes();
      }
    }
    writeText(directory.resolve(SafetensorsStore.INDEX), ShardPlan.index(fileOfTensor, bytes));
  }

  private void carryFiles(AtomicDirectory directory) {
    List<Path> files;
    try (Stream<Path> entries = Files.list(settings.source())) {
      files =
          entries
              .filter(Files::isRegularFile)
              .filter(file -> !NOT_CARRIED.matcher(file.getFileName().toString()).matches())
              .sorted()
              .toList();
    } catch (IOException e) {
      throw new CheckpointException(
          settings.source(), "quantize: cannot be listed: " + e.getMessage(), e);
    }
    files.forEach(directory::copy);
  }

  private void writeConfig(Path directory, List<Planned> planned) {
    DType weights =
        planned.stream()
            .filter(tensor -> tensor.state() != null)
            .findFirst()
            .orElseThrow()
            .state()
            .dtype();
    DType compute = settings.computeDtype() == null ? weights : settings.computeDtype();
    List<String> denseModules = unknown.stream().map(LinearWeights::module).toList();
    config.put(
        "quantization_config", QuantizationConfig.of(settings.format(), compute, denseModules));
    writeText(directory.resolve("config.json"), JsonStyle.PYTHON_INDENTED.write(config) + "\n");
  }

  private static void writeText(Path path, String text) {
    AtomicFile.write(path, text.getBytes(StandardCharsets.UTF_8));
  }

  private QuantizationReport report(List<Planned> planned, Map<String, List<Planned>> shards) {
    return new QuantizationReport(
        List.copyOf(quantized),
        List.copyOf(kept),
        List.copyOf(unknown),
        store.byteSize(),
        planned.stream().mapToLong(Planned::resultBytes).sum(),
        List.copyOf(shards.keySet()));
  }
}
