package org.lorakernels.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
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
import org.lorakernels.DeviceInfo;
import org.lorakernels.InvalidArgumentException;
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
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code lk quickstart}: the main job, from a checkpoint to a verified adapter. */
@Command(
    name = "quickstart",
    description = {
      "Quantise every projection of a checkpoint to NF4, fit a LoRA to what quantisation lost,",
      "compare the fused with the unfused path, save the adapters in PEFT's format, and verify them."
    })
final class QuickstartCommand extends LkCommand {
  /** Set by the launcher: the directory of the repository. */
  static final String HOME = "lk.home";

  private static final String DEFAULT_MODEL = "tests/src/test/resources/golden/models/llama";

  /** F32 sums in another order; and merging rounds W + delta once to F32. */
  private static final double VERIFY_TOLERANCE = 1e-5;

  @Option(
      names = "--model",
      description = "Directory of a dense checkpoint; by default a small one of this repository.")
  private Path model;

  @Option(
      names = "--out",
      description = "Directory for the adapters; by default a new one for temporary files.")
  private Path out;

  @Option(names = "--rank", defaultValue = "16", description = "Rank (${DEFAULT-VALUE}).")
  private int rank;

  @Option(
      names = "--steps",
      defaultValue = "400",
      description = "Steps of AdamW for each weight (${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--learning-rate",
      defaultValue = "0.005",
      description = "Peak learning rate (${DEFAULT-VALUE}).")
  private double learningRate;

  @Option(names = "--seed", defaultValue = "1", description = "Seed (${DEFAULT-VALUE}).")
  private long seed;

  /** What is gathered for a layer type. */
  private static final class TypeSummary {
    int count;
    double before;
    double after;
    long denseBytes;
    long quantizedBytes;
    String example;
  }

  @Override
  JsonObject run(Console console) {
    if (steps < 1 || learningRate <= 0) {
      throw new InvalidArgumentException("--steps and --learning-rate must be positive");
    }
    LoraConfig.rank(rank);
    long start = System.nanoTime();
    try (Device device = Device.best();
        Checkpoint checkpoint = Checkpoint.open(device, modelDirectory())) {
      List<String> names = denseWeights(checkpoint);
      DeviceInfo info = device.info();
      console.print(
          "%s: %d projections; %s, %s, %d threads",
          checkpoint.directory(), names.size(), info.name(), info.kernels(), info.threads());
      Map<String, LoraAdapter> adapters = new LinkedHashMap<>();
      Map<String, TypeSummary> types = new TreeMap<>();
      try {
        fitAll(console, device, checkpoint, names, adapters, types);
        console.print("");
        printErrors(console, types);
        JsonObject comparison = compare(console, checkpoint, types);
        Path saved = save(adapters);
        double difference = verify(device, checkpoint, saved);
        double seconds = (System.nanoTime() - start) / 1e9;
        console.print("adapters: %s (PEFT's format)", saved);
        console.print(
            "verified: reloaded and merged, outputs differ by %.1e at most (allowed %.0e)",
            difference, VERIFY_TOLERANCE);
        console.print("done in %.1f s", seconds);
        return new JsonObject()
            .put("model", checkpoint.directory().toString())
            .put("layers", layersJson(types))
            .put("fused_against_unfused", comparison)
            .put("adapter", saved.toString())
            .put("verified_difference", difference)
            .put("seconds", seconds);
      } finally {
        adapters.values().forEach(LoraAdapter::close);
      }
    }
  }

  private Path modelDirectory() {
    if (model != null) {
      return model;
    }
    String home = System.getProperty(HOME);
    if (home == null) {
      throw new InvalidArgumentException(
          "--model is needed, since the property " + HOME + " does not name the repository");
    }
    return Path.of(home, DEFAULT_MODEL);
  }

  private static List<String> denseWeights(Checkpoint checkpoint) {
    List<String> names = checkpoint.linearWeights();
    if (names.isEmpty()) {
      throw new CheckpointException(
          checkpoint.directory(), "has no projections (q_proj, k_proj ... down_proj) to quantise");
    }
    for (String name : names) {
      if (checkpoint.isQuantized(name)) {
        throw new CheckpointException(
            checkpoint.directory(),
            "is quantised already (" + name + "); quickstart needs the dense checkpoint");
      }
    }
    return names;
  }

  private void fitAll(
      Console console,
      Device device,
      Checkpoint checkpoint,
      List<String> names,
      Map<String, LoraAdapter> adapters,
      Map<String, TypeSummary> types) {
    AdapterFit fit = new AdapterFit(rank, steps, learningRate, seed);
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

  private static void printErrors(Console console, Map<String, TypeSummary> types) {
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
  private JsonObject compare(
      Console console, Checkpoint checkpoint, Map<String, TypeSummary> types) {
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
                FusedAgainstUnfused.measure(device, weight, adapter, AdapterFit.BATCH, 9);
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

  private Path save(Map<String, LoraAdapter> adapters) {
    try {
      Path target = out != null ? out : Files.createTempDirectory("lk-quickstart-");
      PeftAdapter.save(target, PeftConfig.describing(adapters), adapters);
      return target;
    } catch (IOException failure) {
      throw new UncheckedIOException("no directory for the adapters: " + failure, failure);
    }
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
