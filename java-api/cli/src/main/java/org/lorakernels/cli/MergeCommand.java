package org.lorakernels.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.MergeKernels.SignElection;
import org.lorakernels.Nf4Format;
import org.lorakernels.json.JsonObject;
import org.lorakernels.merge.AdapterCombiner;
import org.lorakernels.merge.CheckpointMerger;
import org.lorakernels.merge.CombineConfig;
import org.lorakernels.merge.CombineMethod;
import org.lorakernels.merge.MergeBase;
import org.lorakernels.merge.MergeError;
import org.lorakernels.merge.MergePlan;
import org.lorakernels.merge.MergeReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code lk merge}: adapters or fine-tuned models into a model, or into one adapter. */
@Command(name = "merge", description = "Merge LoRA adapters, or fine-tuned models, into a model.")
final class MergeCommand extends LkCommand {
  /** Weights whose errors are measured. */
  private static final int SAMPLES = 8;

  @Option(
      names = "--model",
      required = true,
      description = "Directory of the model, dense or in 4 bits.")
  private Path model;

  @Option(
      names = "--adapter",
      required = true,
      paramLabel = "DIR[:weight]",
      description =
          "Directory of an adapter, or of a model fine-tuned from --model, and its weight (1)."
              + " May be repeated.")
  private List<String> adapters = new ArrayList<>();

  @Option(
      names = "--method",
      description =
          "How several are combined: linear, cat, svd, ties, ties_svd, dare_linear, dare_ties,"
              + " dare_linear_svd, dare_ties_svd, magnitude_prune, magnitude_prune_svd;"
              + " task_arithmetic, della, della_linear, breadcrumbs, breadcrumbs_ties, slerp.")
  private String method;

  @Option(names = "--out", description = "Directory to write.")
  private Path out;

  @Option(names = "--density", description = "Share of elements that are kept, in (0, 1].")
  private Double density;

  @Option(
      names = "--majority-sign",
      defaultValue = "total",
      description = "How TIES elects signs: total or frequency (${DEFAULT-VALUE}).")
  private String majoritySign;

  @Option(
      names = "--rank",
      description = "Rank of the result of svd methods (the largest of the adapters).")
  private Integer rank;

  @Option(
      names = "--seed",
      defaultValue = "0",
      description = "Seed of what is dropped at random (${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--onto",
      description =
          "What adapters are added to: original, or dequantized, as training on a 4-bit model saw"
              + " it (dequantized for 4-bit models, else original).")
  private String onto;

  @Option(
      names = "--double-quant",
      description = "With --onto dequantized and a dense model: training quantised the scales.")
  private boolean doubleQuant;

  @Option(
      names = "--out-dtype",
      description = "Make the result dense: f32, bf16 or f16 (as the model).")
  private String outDtype;

  @Option(names = "--save-adapter", description = "Write one combined adapter, not a model.")
  private boolean saveAdapter;

  @Option(names = "--dry-run", description = "Say what would be merged, and write only a heat map.")
  private boolean dryRun;

  @Option(
      names = "--heat-map",
      defaultValue = "opposing-signs.png",
      description = "Where --dry-run draws the opposing signs (${DEFAULT-VALUE}).")
  private Path heatMap;

  @Option(names = "--overwrite", description = "Replace what is in the directory.")
  private boolean overwrite;

  @Override
  JsonObject run(Console console) {
    if (out == null && !dryRun) {
      throw badUsage("--out: name the directory to write, or use --dry-run");
    }
    CombineConfig config = config();
    try (Device device = Device.best();
        MergeInputs inputs = MergeInputs.load(device, adapters)) {
      if (inputs.areModels() && saveAdapter) {
        throw badUsage("--save-adapter: combines adapters, but --adapter names a model");
      }
      CheckpointMerger merger =
          inputs
              .into(model, config)
              .overwrite(overwrite)
              .onto(onto == null ? null : choice("--onto", MergeBase.class, onto))
              .quantization(doubleQuant ? Nf4Format.doubleQuantized() : Nf4Format.plain())
              .outDtype(outDtype());
      if (dryRun) {
        return dryRun(console, device, merger);
      }
      return saveAdapter
          ? saveAdapter(console, new AdapterCombiner(inputs.adapters(), config))
          : merge(console, device, merger);
    }
  }

  private CombineConfig config() {
    if (method == null && adapters.size() > 1) {
      throw badUsage("--method: say how " + adapters.size() + " are combined, for example ties");
    }
    try {
      CombineConfig config = asGiven();
      if (adapters.size() > 1) {
        config.density(); // fails where the method needs one
      }
      return config;
    } catch (InvalidArgumentException failure) {
      throw badUsage(failure.getMessage());
    }
  }

  private CombineConfig asGiven() {
    CombineConfig config =
        CombineConfig.of(method == null ? CombineMethod.LINEAR : CombineMethod.named(method))
            .majoritySign(choice("--majority-sign", SignElection.class, majoritySign))
            .seed(seed);
    config = density == null ? config : config.density(density);
    return rank == null ? config : config.rank(rank);
  }

  private DType outDtype() {
    DType dtype = outDtype == null ? null : choice("--out-dtype", DType.class, outDtype);
    if (dtype != null && !dtype.isFloat()) {
      throw badUsage("--out-dtype: expected one of f32, bf16, f16, but is \"" + outDtype + "\"");
    }
    return dtype;
  }

  private <E extends Enum<E>> E choice(String option, Class<E> type, String text) {
    for (E value : type.getEnumConstants()) {
      if (value.name().equalsIgnoreCase(text)) {
        return value;
      }
    }
    List<String> names = new ArrayList<>();
    for (E value : type.getEnumConstants()) {
      names.add(value.name().toLowerCase(Locale.ROOT));
    }
    throw badUsage(
        option + ": expected one of " + String.join(", ", names) + ", but is \"" + text + "\"");
  }

  private JsonObject dryRun(Console console, Device device, CheckpointMerger merger) {
    MergePlan plan = merger.plan(device);
    long bytes = plan.weights().stream().mapToLong(MergePlan.Changed::bytes).sum();
    console.print(
        "would merge %d into %s by %s, onto %s weights: %d weights, %s of %s",
        adapters.size(),
        model,
        plan.method(),
        plan.base(),
        plan.weights().size(),
        Units.bytes(bytes),
        Units.bytes(plan.sourceBytes()));
    SignMap signs = new SignMap();
    long[] done = new long[1];
    try (Console.Progress progress = console.progress("compare", plan.weights().size())) {
      merger.opposingSigns(
          device,
          (weight, counts) -> {
            signs.add(weight, counts);
            progress.to(++done[0]);
          });
    }
    console.print(signs.table());
    signs.writePng(heatMap);
    console.print("heat map: %s", heatMap);
    return new JsonObject()
        .put("model", model.toString())
        .put("method", plan.method().toString())
        .put("onto", plan.base().toString())
        .put("weights", plan.weights().size())
        .put("changed_bytes", bytes)
        .put("source_bytes", plan.sourceBytes())
        .put("opposing_signs", signs.json())
        .put("heat_map", heatMap.toString());
  }

  private JsonObject saveAdapter(Console console, AdapterCombiner combiner) {
    combiner.save(out);
    console.print(
        "%s: %d modules by %s, rank %d",
        out, combiner.modules().size(), combiner.method(), combiner.rank());
    return new JsonObject()
        .put("out", out.toString())
        .put("method", combiner.method().toString())
        .put("modules", combiner.modules().size())
        .put("rank", combiner.rank());
  }

  private JsonObject merge(Console console, Device device, CheckpointMerger merger) {
    long start = System.nanoTime();
    MergeReport report;
    Console.Progress[] progress = new Console.Progress[1];
    try {
      merger.progress(
          (done, total, tensor) -> {
            if (progress[0] == null) {
              progress[0] = console.progress("merge", total);
            }
            progress[0].to(done);
          });
      report = merger.merge(device, out);
    } finally {
      if (progress[0] != null) {
        progress[0].close();
      }
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    console.print(
        "%s -> %s: %d weights by %s onto %s, %d carried along, %s in %.2f s",
        model,
        out,
        report.changed().size(),
        report.method(),
        report.base(),
        report.carried(),
        Units.bytes(report.resultBytes()),
        seconds);
    return new JsonObject()
        .put("model", model.toString())
        .put("out", out.toString())
        .put("method", report.method().toString())
        .put("onto", report.base().toString())
        .put("changed", report.changed().size())
        .put("carried", report.carried())
        .put("source_bytes", report.sourceBytes())
        .put("result_bytes", report.resultBytes())
        .put("seconds", seconds)
        .put("errors", errors(console, merger.errors(device, SAMPLES)));
  }

  /** The mean over the sample, for every way to merge. */
  private static JsonObject errors(Console console, List<MergeError> errors) {
    Map<String, double[]> sums = new TreeMap<>();
    for (MergeError error : errors) {
      String way = error.base() + (error.requantized() ? ", quantised again" : "");
      double[] sum = sums.computeIfAbsent(way, name -> new double[3]);
      sum[0] += error.againstOriginal();
      sum[1] += error.againstDequantized();
      sum[2]++;
    }
    JsonObject json = new JsonObject();
    Table table =
        new Table("merged onto", "error, original + adapter", "error, dequantized + adapter");
    sums.forEach(
        (way, sum) -> {
          double original = sum[0] / sum[2];
          double dequantized = sum[1] / sum[2];
          table.row(way, error(original), error(dequantized));
          JsonObject entry = new JsonObject().put("against_dequantized", dequantized);
          json.put(way, Double.isNaN(original) ? entry : entry.put("against_original", original));
        });
    if (!errors.isEmpty()) {
      console.print("outputs on random inputs, against those of base and adapter:");
      console.print(table);
    }
    return json;
  }

  private static String error(double value) {
    return Double.isNaN(value) ? "-" : String.format(Locale.ROOT, "%.2e", value);
  }
}
