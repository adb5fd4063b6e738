package org.lorakernels.cli;

import java.nio.file.Path;
import java.util.OptionalDouble;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.MemoryStats;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.EvaluationMetrics;
import org.lorakernels.training.OptimizerType;
import org.lorakernels.training.Trainer;
import org.lorakernels.training.TrainingConfig;
import org.lorakernels.training.TrainingData;
import org.lorakernels.training.TrainingResult;
import org.lorakernels.training.checkpoint.CheckpointWriter;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.memory.MemoryPlan;
import org.lorakernels.training.memory.MemoryPlanner;
import org.lorakernels.training.memory.MemorySettings;
import org.lorakernels.training.metrics.LossPlot;
import org.lorakernels.training.metrics.MetricsWriter;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.ModelConfig;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code lk train}: fine-tune a checkpoint. */
@Command(
    name = "train",
    sortOptions = false,
    usageHelpWidth = 100,
    customSynopsis = "lk train --model DIR --data FILE --out DIR [OPTION]...",
    description = {
      "Fine-tune a Hugging Face checkpoint: LoRA or its weights.",
      "LoRA goes on dense or 4-bit projections, and to OUT/adapter_model.safetensors and",
      "OUT/adapter_config.json, which PEFT loads. --full trains the dense weights themselves.",
      "",
      "  lk train --model M --data chats.jsonl --out O --bits 4 --double-quant",
      "  lk train --model M --data texts.jsonl --out O --max-steps 2000 --save-steps 100 --resume",
      "  lk train --model M --data tokens.jsonl --out O --adapter A --no-shuffle --max-steps 64",
      ""
    })
final class TrainCommand extends LkCommand {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "Directory of the checkpoint, dense or in bitsandbytes' 4 bits.")
  private Path model;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "DIR",
      description = "Where adapter, metrics, plot and checkpoints go.")
  private Path out;

  @ArgGroup(validate = false, heading = "%nData:%n")
  private DataOptions data = new DataOptions();

  @ArgGroup(validate = false, heading = "%nModel:%n")
  private ModelOptions modelOptions = new ModelOptions();

  @ArgGroup(validate = false, heading = "%nWhat is trained (names as in PEFT):%n")
  private TrainOptions.Adapter adapter = new TrainOptions.Adapter();

  @ArgGroup(validate = false, heading = "%nHow (names as in TRL):%n")
  private TrainOptions.Optimization optimization = new TrainOptions.Optimization();

  @ArgGroup(validate = false, heading = "%nOutput:%n")
  private TrainOptions.Output output = new TrainOptions.Output();

  @Override
  JsonObject run(Console console) {
    TrainingConfig config = TrainOptions.config(optimization, output, out);
    if (output.overwrite && !output.resume) {
      new CheckpointWriter(out, 0).removeAll();
    }
    try (DataOptions.Loaded loaded = data.load(model);
        Device device = Device.best()) {
      requireVocabulary(loaded);
      loaded.findings().forEach(finding -> console.warn(finding.toString()));
      MemoryPlan plan = plan(loaded, device);
      console.print(
          "%s: %d rows of at most %d tokens; needs %s in all",
          model, loaded.training().size(), loaded.longest(), Units.bytes(plan.total()));
      try (CausalLm causalLm = CausalLm.load(device, model, modelOptions.load())) {
        prepare(causalLm);
        return train(console, device, causalLm, config, loaded, plan);
      }
    }
  }

  private void requireVocabulary(DataOptions.Loaded loaded) {
    int vocabulary = ModelConfig.read(model).vocabularySize();
    requireVocabulary(data.data, loaded.training(), vocabulary);
    if (loaded.evaluation() != null) {
      requireVocabulary(data.evalData, loaded.evaluation(), vocabulary);
    }
  }

  private static void requireVocabulary(Path file, TrainingData rows, int vocabulary) {
    for (int row = 0; row < rows.size(); row++) {
      Batch batch = rows.batch(new int[] {row});
      int greatest =
          Math.max(
              IntStream.of(batch.inputIds()).max().orElse(0),
              IntStream.of(batch.labels()).max().orElse(0));
      if (greatest >= vocabulary) {
        throw new CheckpointException(
            file,
            "data: row "
                + (row + 1)
                + " has the token id "
                + greatest
                + ", but the model knows 0 to "
                + (vocabulary - 1)
                + " (vocab_size of its config.json): the tokens are of another model; use the"
                + " tokenizer that belongs to the weights");
      }
    }
  }

  private MemoryPlan plan(DataOptions.Loaded loaded, Device device) {
    MemoryPlanner planner = new MemoryPlanner(model);
    MemorySettings settings =
        new MemorySettings(
            modelOptions.load(),
            adapter.planned(),
            optimization.batchSize,
            loaded.longest(),
            optimization.checkpointing,
            data.evalData != null,
            loaded.encoder().tokenizer().isPresent(),
            OptimizerType.of(optimization.optim));
    long limit =
        output.memoryLimit == null
            ? device.info().availableBytes()
            : Units.parseBytes("--memory-limit", output.memoryLimit);
    return limit == 0 ? planner.plan(settings) : planner.require(settings, limit);
  }

  private void prepare(CausalLm causalLm) {
    if (adapter.full && adapter.adapter != null) {
      throw new InvalidArgumentException("--full and --adapter exclude each other; leave one out");
    }
    if (adapter.full) {
      causalLm.trainDense(name -> name.matches(adapter.trainable));
    } else if (adapter.adapter != null) {
      causalLm.loadAdapter(
          adapter.adapter,
          adapter.dropout == null ? OptionalDouble.empty() : OptionalDouble.of(adapter.dropout));
    } else {
      causalLm.attachLora(adapter.spec(optimization.seed));
    }
    causalLm.checkpointing(optimization.checkpointing);
  }

  private JsonObject train(
      Console console,
      Device device,
      CausalLm causalLm,
      TrainingConfig config,
      DataOptions.Loaded loaded,
      MemoryPlan plan) {
    Path metrics = output.metrics != null ? output.metrics : out.resolve("metrics.jsonl");
    try (MetricsWriter writer = new MetricsWriter(metrics);
        TrainingProgress progress = new TrainingProgress(console)) {
      TrainingResult result =
          Trainer.of(causalLm, config)
              .data(loaded.training())
              .evaluationData(loaded.evaluation())
              .listener(writer)
              .listener(progress)
              .resume(output.resume)
              .train();
      progress.close();
      plot(console, metrics);
      return report(console, device, progress.firstLoss(), result, plan);
    }
  }

  /** A run is not lost for its picture. */
  private void plot(Console console, Path metrics) {
    try {
      LossPlot plot = LossPlot.of(metrics, out.toAbsolutePath().getFileName().toString());
      plot.writePng(out.resolve("loss.png"));
      plot.writeSvg(out.resolve("loss.svg"));
    } catch (LoraKernelsException failure) {
      console.warn("no plot: " + failure.getMessage());
    }
  }

  private JsonObject report(
      Console console, Device device, double firstLoss, TrainingResult result, MemoryPlan plan) {
    MemoryStats memory = device.memory();
    long peak = memory.allocatedPeakBytes() + memory.workspacePeakBytes();
    console.print(
        "%d steps%s: loss %.4f -> %.4f, %.0f tokens/s, %s",
        result.steps(),
        result.complete() ? "" : " (stopped)",
        firstLoss,
        result.lastLoss(),
        result.tokensPerSecond(),
        Units.duration(result.seconds()));
    console.print(
        "peak memory: %s on the device (planned %s)%s",
        Units.bytes(peak),
        Units.bytes(plan.device()),
        ProcessMemory.peakBytes().stream()
            .mapToObj(bytes -> ", " + Units.bytes(bytes) + " of the process")
            .collect(Collectors.joining()));
    console.print("written: %s", out);
    JsonObject json =
        new JsonObject()
            .put("model", model.toString())
            .put("out", out.toString())
            .put("steps", result.steps())
            .put("complete", result.complete());
    put(json, "first_loss", firstLoss);
    put(json, "loss", result.loss());
    put(json, "last_loss", result.lastLoss());
    EvaluationMetrics evaluation = result.evaluation();
    put(json, "eval_loss", evaluation == null ? Double.NaN : evaluation.loss());
    json.put("tokens", result.tokens()).put("seconds", result.seconds());
    put(json, "tokens_per_second", result.tokensPerSecond());
    json.put("device_peak_bytes", peak).put("planned_bytes", plan.total());
    ProcessMemory.peakBytes().ifPresent(bytes -> json.put("process_peak_bytes", bytes));
    return json;
  }

  private static void put(JsonObject json, String name, double value) {
    if (Double.isFinite(value)) {
      json.put(name, value);
    } else {
      json.putNull(name);
    }
  }
}
