package org.lorakernels.huggingface;

import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.safetensors.TensorInfo;

/** One quantisation: decide what becomes of every tensor, have it written, report. */
final class QuantizationRun implements AutoCloseable {
  private final CheckpointQuantizer settings;
  private final Device device;
  private final JsonObject config;
  private final SafetensorsStore store;
  private final Set<String> quantized = new LinkedHashSet<>();
  private final Set<String> kept = new LinkedHashSet<>();
  private final Set<String> unknown = new LinkedHashSet<>();

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
    List<ModelItem> items =
        store.names().stream()
            .filter(
                name -> quantized.contains(name) || kept.contains(name) || unknown.contains(name))
            .map(name -> item(store.info(name)))
            .toList();
    ModelWriter.Written written =
        new ModelWriter(settings.source())
            .maxShardBytes(settings.maxShardBytes())
            .overwrite(settings.overwrites())
            .progress(settings.progress())
            .write(target, items, resultConfig());
    return new QuantizationReport(
        List.copyOf(quantized),
        List.copyOf(kept),
        List.copyOf(unknown),
        store.byteSize(),
        written.bytes(),
        written.files());
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
      } else if (!TiedHead.repeats(name, settings.source(), config, store)) {
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

  // ---- making

  private ModelItem item(TensorInfo tensor) {
    return quantized.contains(tensor.name())
        ? ModelItem.fourBit(
            tensor.name(),
            dtype(tensor),
            tensor.shape(),
            settings.format(),
            tensor.byteSize(),
            () -> quantize(tensor.name()))
        : ModelItem.carried(store, List.of(tensor));
  }

  private static DType dtype(TensorInfo tensor) {
    return tensor
        .dtype()
        .dtype()
        .filter(DType::isFloat)
        .orElseThrow(
            () ->
                new UnsupportedException(
                    "quantize: weights must be F32, BF16 or F16, but the checkpoint has "
                        + tensor.spec()
                        + "; convert it first"));
  }

  private Nf4Tensor quantize(String name) {
    try (Tensor dense = store.tensor(device, name)) {
      return LoraKernels.quantize(dense, settings.format());
    }
  }

  private JsonObject resultConfig() {
    DType weights = dtype(store.info(quantized.iterator().next()));
    DType compute = settings.computeDtype() == null ? weights : settings.computeDtype();
    List<String> denseModules = unknown.stream().map(LinearWeights::module).toList();
    return config.put(
        "quantization_config", QuantizationConfig.of(settings.format(), compute, denseModules));
  }
}
