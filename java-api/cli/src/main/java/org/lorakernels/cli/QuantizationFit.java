package org.lorakernels.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.json.JsonObject;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.peft.PeftConfig;

/**
 * What four bits cost a checkpoint: quantises every projection, fits a LoRA to each against the
 * error that is left, compares the fused with the unfused path on them, saves the adapters in
 * PEFT's format, and verifies them by reloading and merging.
 */
final class QuantizationFit {
  /** F32 sums in another order; and merging rounds W + delta once to F32. */
  private static final double VERIFY_TOLERANCE = 1e-5;

  /** Rounds of the comparison. */
  private static final int ROUNDS = 9;

  private final Console console;
  private final AdapterFit fit;
  private final int rank;
  private final long seed;

  QuantizationFit(Console console, AdapterFit fit, int rank, long seed) {
    this.console = console;
    this.fit = fit;
    this.rank = rank;
    this.seed = seed;
  }

  /** What is gathered for a layer type. */
  private static final class TypeSummary {
    int count;
    double before;
    double after;
    long denseBytes;
    long quantizedBytes;
    String example;
  }

  /**
   * Runs it.
   *
   * @param out directory for the adapters
   * @throws CheckpointException if the checkpoint has no projections
   */
  JsonObject run(Device device, Checkpoint checkpoint, Path out) {
    List<String> names = checkpoint.linearWeights();
    if (names.isEmpty()) {
      throw new CheckpointException(
          checkpoint.directory(), "has no projections (q_proj, k_proj ... down_proj) to quantise");
    }
    Map<String, LoraAdapter> adapters = new LinkedHashMap<>();
    Map<String, TypeSummary> types = new TreeMap<>();
    try {
      fitAll(device, checkpoint, names, adapters, types);
      printErrors(types);
      JsonObject comparison = compare(checkpoint, types);
      PeftAdapter.save(out, PeftConfig.describing(adapters), adapters);
      double difference = verify(device, checkpoint, out);
      console.print(
          "adapters: %s (PEFT's format); reloaded and merged, outputs differ by %.1e at most"
              + " (allowed %.0e)",
          out, difference, VERIFY_TOLERANCE);
      return new JsonObject()
          .put("layers", layersJson(types))
          .put("fused_against_unfused", comparison)
          .put("adapter", out.toString())
          .put("verified_difference", difference);
    } finally {
      adapters.values().forEach(LoraAdapter::close);
    }
  }

  private void fitAll(
      Device device,
      Checkpoint checkpoint,
      List<String> names,
      Map<String, LoraAdapter> adapters,
      Map<String, TypeSummary> types) {
    try (Console.Progress progress = console.progress("quantise and fit", names.size())) {
      for (String name : names) {
        try (Tensor dense = checkpoint.dense(name);
            Nf4Tensor quantized = LoraKernels.quantize(dense, Nf4Format.doubleQuantized())) {
          AdapterFit.Result result = fit.fit(device, dense, quantized, adapters.size());
          adapters.put(Layers.module(name), result.adapter());
          TypeSummary type = types.computeIfAbsent(Layers.type(name), t -> new TypeSummary());
          type.count++;
          type.before += result.before();
          type.after += result.after();
          type.denseBytes += dense.byteSize();
          type.quantizedBytes += quantized.byteSize();
          type.example = name;
        }
        progress.to(adapters.size());
      }
    }
  }

  private void printErrors(Map<String, TypeSummary> types) {
    Table table =
        new Table("layers", "count", "error NF4", "NF4 + LoRA", "reduced by", "dense", "NF4");
    types.forEach(
        (name, type) ->
            table.row(
                name,
                Integer.toString(type.count),
                Units.percent(type.before / type.count),
                Units.percent(type.after / type.count),
                String.format(Locale.ROOT, "%.0f %%", 100 * (1 - type.after / type.before)),
                Units.bytes(type.denseBytes),
                Units.bytes(type.quantizedBytes)));
    console.print("");
    console.print("what four bits cost, and what a LoRA fitted to the error takes back:");
    console.print(table);
  }

  private static JsonObject layersJson(Map<String, TypeSummary> types) {
    JsonObject all = new JsonObject();
    types.forEach(
        (name, type) ->
            all.put(
                name,
                new JsonObject()
                    .put("count", type.count)
                    .put("error_before", type.before / type.count)
                    .put("error_after", type.after / type.count)
                    .put("dense_bytes", type.denseBytes)
                    .put("nf4_bytes", type.quantizedBytes)));
    return all;
  }

  /** One weight of each type, on a device of its own so that memory is its own. */
  private JsonObject compare(Checkpoint checkpoint, Map<String, TypeSummary> types) {
    Table table =
        new Table("layers", "shape", "fused", "unfused", "ratio", "fused takes", "unfused takes");
    JsonObject all = new JsonObject();
    types.forEach(
        (name, type) -> {
          try (Device device = Device.cpu();
              Checkpoint own = Checkpoint.open(device, checkpoint.directory());
              Tensor dense = own.dense(type.example);
              Nf4Tensor weight = LoraKernels.quantize(dense, Nf4Format.doubleQuantized());
              LoraAdapter adapter = LoraAdapter.create(weight, LoraConfig.rank(rank))) {
            FusedAgainstUnfused.Result r =
                FusedAgainstUnfused.measure(device, weight, adapter, AdapterFit.BATCH, ROUNDS);
            Timing fused = r.forward()[0].plus(r.backward()[0]);
            Timing unfused = r.forward()[1].plus(r.backward()[1]);
            table.row(
                name,
                weight.rows() + "x" + weight.cols(),
                Units.millis(fused.medianNanos()),
                Units.millis(unfused.medianNanos()),
                Units.ratio(unfused.medianNanos() / fused.medianNanos()),
                Units.bytes(r.fusedBytes()),
                Units.bytes(r.unfusedBytes()));
            all.put(
                name,
                new JsonObject()
                    .put("rows", weight.rows())
                    .put("cols", weight.cols())
                    .put("fused", fused.json())
                    .put("unfused", unfused.json())
                    .put("fused_bytes", r.fusedBytes())
                    .put("unfused_bytes", r.unfusedBytes()));
          }
        });
    console.print(
        "forward + backward of one weight of each, %d rows of x (medians):", AdapterFit.BATCH);
    console.print(table);
    return all;
  }

  /**
   * Reloads the adapters; base + adapter must equal the merged weight on new inputs. The largest
   * relative difference.
   */
  private double verify(Device device, Checkpoint checkpoint, Path saved) {
    double worst = 0;
    SplittableRandom random = new SplittableRandom(seed);
    try (PeftAdapter reloaded = PeftAdapter.load(device, saved)) {
      for (Map.Entry<String, LoraAdapter> entry : reloaded.modules().entrySet()) {
        LoraAdapter adapter = entry.getValue().training(false);
        try (Tensor dense = checkpoint.dense(entry.getKey() + ".weight");
            Nf4Tensor weight = LoraKernels.quantize(dense, Nf4Format.doubleQuantized());
            Tensor merged = Tensor.zeros(device, DType.F32, weight.rows(), weight.cols());
            Tensor x = Floats.normal(device, random, AdapterFit.BATCH, weight.cols());
            Tensor expected = LoraKernels.fusedForward(x, weight, adapter)) {
          LoraKernels.merge(weight, adapter, merged);
          try (Tensor actual = LoraKernels.matmul(x, merged)) {
            worst = Math.max(worst, Floats.relativeError(actual, expected));
          }
        }
      }
    }
    if (!(worst <= VERIFY_TOLERANCE)) {
      throw new LoraKernelsException(
          "verification failed: the merged weight and base + adapter differ by "
              + worst
              + ", allowed is "
              + VERIFY_TOLERANCE);
    }
    return worst;
  }
}
