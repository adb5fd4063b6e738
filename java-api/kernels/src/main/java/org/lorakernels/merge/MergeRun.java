package org.lorakernels.merge;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.Weight;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.huggingface.ModelItem;
import org.lorakernels.huggingface.ModelWriter;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonStyle;

/** One merge into one checkpoint: check, decide what becomes of every weight, have it written. */
final class MergeRun implements AutoCloseable {
  private final CheckpointMerger settings;
  private final Device device;
  private final Checkpoint model;
  private final ModelChange change;
  private final boolean fourBit;
  private final MergeBase base;

  MergeRun(CheckpointMerger settings, Device device) {
    this.settings = settings;
    this.device = device;
    this.change = settings.change(device);
    try {
      this.model = Checkpoint.open(device, settings.model());
    } catch (RuntimeException failure) {
      change.close();
      throw failure;
    }
    try {
      change.requireFits(model);
      this.fourBit = model.tensorNames().stream().anyMatch(model::isQuantized);
      this.base = settings.base().orElse(fourBit ? MergeBase.DEQUANTIZED : MergeBase.ORIGINAL);
      requireBase();
    } catch (RuntimeException failure) {
      close();
      throw failure;
    }
  }

  @Override
  public void close() {
    model.close();
    change.close();
  }

  private void requireBase() {
    if (fourBit && base == MergeBase.ORIGINAL) {
      throw new UnsupportedException(
          "merge: "
              + model.directory()
              + " is in 4 bits, so its original weights are not there; to merge onto them, name the"
              + " dense checkpoint that it was quantised from as the model");
    }
    if (base == MergeBase.DEQUANTIZED && !settings.mergesAdapters()) {
      throw new UnsupportedException("merge: models are merged onto original weights only");
    }
  }

  // ---- writing

  MergeReport writeTo(Path target) {
    List<String> names = model.tensorNames();
    List<ModelItem> items = names.stream().map(this::item).toList();
    List<String> changed = names.stream().filter(change::changes).toList();
    ModelWriter.Written written =
        settings
            .writer()
            .resumable(resumeKey())
            .text(CheckpointMerger.RECORD, JsonStyle.PYTHON_INDENTED.write(describe()) + "\n")
            .write(target, items, resultConfig());
    return new MergeReport(
        change.method(),
        base,
        changed,
        names.size() - changed.size(),
        sourceBytes(),
        written.bytes(),
        written.files());
  }

  private long sourceBytes() {
    return model.tensorNames().stream().mapToLong(model::byteSize).sum();
  }

  private ModelItem item(String name) {
    boolean changes = change.changes(name);
    if (model.isQuantized(name) && settings.outDtype().isEmpty()) {
      return changes ? requantized(name) : model.carried(name);
    }
    Optional<DType> stored =
        model.isQuantized(name)
            ? Optional.empty()
            : model.storedDtype(name).dtype().filter(DType::isFloat);
    boolean computed = model.isQuantized(name) || stored.isPresent();
    if (!computed && changes) {
      throw new UnsupportedException(
          "merge: weights must be F32, BF16 or F16, but "
              + name
              + " is "
              + model.storedDtype(name)
              + "; convert it first");
    }
    Optional<DType> out = settings.outDtype().or(() -> stored);
    if (!changes && (!computed || stored.equals(out))) {
      return model.carried(name);
    }
    return ModelItem.dense(
        name,
        out.orElseThrow(),
        model.shape(name),
        model.byteSize(name),
        () -> make(name, out.get()));
  }

  private ModelItem requantized(String name) {
    try (Nf4Tensor weight = model.nf4(name)) {
      return ModelItem.fourBit(
          name,
          weight.sourceDtype(),
          weight.shape(),
          weight.format(),
          model.byteSize(name),
          () -> {
            try (Nf4Tensor source = model.nf4(name)) {
              return change.applyQuantized(name, source);
            }
          });
    }
  }

  private Tensor make(String name, DType out) {
    try (Weight weight = model.weight(name)) {
      if (!change.changes(name)) {
        return weight instanceof Tensor dense ? dense.to(out) : LoraKernels.dequantize(weight, out);
      }
      if (base == MergeBase.DEQUANTIZED && weight instanceof Tensor dense) {
        try (Nf4Tensor trained = LoraKernels.quantize(dense, settings.quantization())) {
          return change.apply(name, trained, out);
        }
      }
      return change.apply(name, weight, out);
    }
  }

  private JsonObject resultConfig() {
    JsonObject config = model.config();
    settings
        .outDtype()
        .ifPresent(
            dtype -> {
              config.remove("quantization_config");
              String member = config.has("torch_dtype") ? "torch_dtype" : "dtype";
              config.put(member, torchName(dtype));
            });
    return config;
  }

  private static String torchName(DType dtype) {
    return switch (dtype) {
      case BF16 -> "bfloat16";
      case F16 -> "float16";
      default -> "float32";
    };
  }

  private JsonObject describe() {
    return new JsonObject()
        .put("base_model", model.directory().toString())
        .put("onto", base.toString())
        .put(
            "out_dtype",
            settings.outDtype().map(d -> d.name().toLowerCase(Locale.ROOT)).orElse("as the model"))
        .put("merge", change.describe());
  }

  /** All that the content depends on: the settings, and the files by name, size and time. */
  private String resumeKey() {
    StringBuilder key = new StringBuilder(JsonStyle.PYTHON.write(describe()));
    key.append('\n').append(settings.quantization()).append('\n').append(settings.maxShardBytes());
    List<Path> directories = new ArrayList<>(List.of(model.directory()));
    directories.addAll(change.directories());
    for (Path directory : directories) {
      try (Stream<Path> files = Files.list(directory)) {
        for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
          key.append('\n').append(file.toAbsolutePath()).append(' ').append(Files.size(file));
          key.append(' ').append(Files.getLastModifiedTime(file));
        }
      } catch (IOException e) {
        throw new CheckpointException(directory, "merge: cannot be listed: " + e.getMessage(), e);
      }
    }
    return key.toString();
  }

  // ---- asking

  MergePlan plan() {
    List<MergePlan.Changed> changed = new ArrayList<>();
    for (String name : model.tensorNames()) {
      item(name); // refuses what cannot be merged
      if (change.changes(name)) {
        changed.add(
            new MergePlan.Changed(
                name,
                model.shape(name),
                model.isQuantized(name) ? "4-bit" : model.storedDtype(name).toString(),
                model.byteSize(name)));
      }
    }
    return new MergePlan(change.method(), base, changed, sourceBytes());
  }

  void opposingSigns(CheckpointMerger.SignListener listener) {
    for (String name : model.tensorNames()) {
      if (change.changes(name)) {
        try (Weight weight = model.weight(name)) {
          listener.opposing(name, change.opposingSigns(name, weight));
        }
      }
    }
  }

  List<MergeError> errors(int weights) {
    if (!(change instanceof AdapterChange adapters)) {
      return List.of();
    }
    List<String> changed = model.tensorNames().stream().filter(change::changes).toList();
    int step = Math.max(1, (changed.size() + weights - 1) / Math.max(1, weights));
    List<MergeError> errors = new ArrayList<>();
    for (int i = 0; i < changed.size(); i += step) {
      String name = changed.get(i);
      try (Weight weight = model.weight(name);
          AdapterSum added = adapters.added(name)) {
        added.adapters().forEach(adapter -> adapter.training(false));
        errors.addAll(
            new MergeErrors(name, weight, added, settings.quantization())
                .measure(settings.outDtype()));
      }
    }
    return errors;
  }
}
