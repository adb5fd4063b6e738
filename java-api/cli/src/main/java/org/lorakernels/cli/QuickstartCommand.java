package org.lorakernels.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.OptionalLong;
import org.lorakernels.Device;
import org.lorakernels.DeviceInfo;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.EvaluationMetrics;
import org.lorakernels.training.Trainer;
import org.lorakernels.training.TrainingConfig;
import org.lorakernels.training.TrainingResult;
import org.lorakernels.training.data.Collation;
import org.lorakernels.training.data.EncodedData;
import org.lorakernels.training.data.EncodingOptions;
import org.lorakernels.training.data.ModelEncoder;
import org.lorakernels.training.data.Tokenizer;
import org.lorakernels.training.generation.GenerationConfig;
import org.lorakernels.training.generation.Sampling;
import org.lorakernels.training.generation.TextGenerator;
import org.lorakernels.training.metrics.MetricsWriter;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;
import org.lorakernels.training.model.LoraSpec;
import org.lorakernels.training.schedule.LearningRateScheduler;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * {@code lk quickstart}: the main job, from a checkpoint to a verified adapter. First what four
 * bits cost each projection, then fine-tuning, where the model has a tokenizer.
 */
@Command(
    name = "quickstart",
    description = {
      "QLoRA from end to end in a minute.",
      "Quantise a checkpoint's projections to NF4, fit a LoRA to what that lost, compare the fused",
      "with the unfused path; then fine-tune adapters, show loss and text before and after, save in",
      "PEFT's format, reload, verify.",
      "By default a small model of this repository, which knows Shakespeare, learns nursery rhymes."
    })
final class QuickstartCommand extends LkCommand {
  /** Set by the launcher: the directory of the repository. */
  static final String HOME = "lk.home";

  /** A model and texts of the repository's own; its README says where they come from. */
  private static final String DEFAULTS = "java-api/cli/quickstart";

  /** Learning rate of the fit to the error of quantisation, found by trying on small Llamas. */
  private static final double FIT_LEARNING_RATE = 0.005;

  private static final int MAX_LENGTH = 256;
  private static final int BATCH = 8;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "Directory of a checkpoint with a tokenizer; by default the repository's own.")
  private Path model;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "What to learn (see lk data); by default nursery rhymes.")
  private Path data;

  @Option(
      names = "--eval-data",
      paramLabel = "FILE",
      description = "What to measure the loss on; by default other nursery rhymes.")
  private Path evalData;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description = "Directory for the adapter; by default a new one for temporary files.")
  private Path out;

  @Option(
      names = "--prompt",
      paramLabel = "TEXT",
      defaultValue = "Little ",
      description = "What to continue before and after (\"${DEFAULT-VALUE}\").")
  private String prompt;

  @Option(names = "--rank", defaultValue = "16", description = "Rank (${DEFAULT-VALUE}).")
  private int rank;

  @Option(
      names = "--fit-steps",
      defaultValue = "400",
      description = "Steps of the fit to the error of quantisation; 0: none (${DEFAULT-VALUE}).")
  private int fitSteps;

  @Option(names = "--steps", defaultValue = "80", description = "Steps (${DEFAULT-VALUE}).")
  private long steps;

  @Option(
      names = "--learning-rate",
      defaultValue = "0.001",
      description = "Peak learning rate (${DEFAULT-VALUE}).")
  private double learningRate;

  @Option(names = "--seed", defaultValue = "1", description = "Seed (${DEFAULT-VALUE}).")
  private long seed;

  /** Loss on what is not trained on, and a text. */
  private record Look(EvaluationMetrics loss, String text) {}

  @Override
  JsonObject run(Console console) {
    if (steps < 1) {
      throw new InvalidArgumentException("--steps must be at least 1, but is " + steps);
    }
    if (fitSteps < 0) {
      throw new InvalidArgumentException("--fit-steps must be at least 0, but is " + fitSteps);
    }
    long start = System.nanoTime();
    Path base = model != null ? model : defaults().resolve("base");
    Path target = target();
    try (Device device = Device.best()) {
      DeviceInfo info = device.info();
      console.print("%s; %s, %s, %d threads", base, info.name(), info.kernels(), info.threads());
      boolean fineTunes = hasTokenizer(base);
      JsonObject json = new JsonObject().put("model", base.toString());
      fitToError(console, device, base, fineTunes ? target.resolve("quantization") : target, json);
      if (fineTunes) {
        fineTune(console, device, base, target, json);
      } else {
        console.print("no tokenizer in %s: fine-tuning is skipped", base);
      }
      double seconds = (System.nanoTime() - start) / 1e9;
      OptionalLong peak = ProcessMemory.peakBytes();
      peak.ifPresent(bytes -> json.put("process_peak_bytes", bytes));
      console.print(
          "done in %.1f s%s",
          seconds,
          peak.isPresent() ? ", at most " + Units.bytes(peak.getAsLong()) + " of memory" : "");
      return json.put("seconds", seconds);
    }
  }

  private static boolean hasTokenizer(Path base) {
    return Files.exists(base.resolve("tokenizer.json"));
  }

  /** Puts what came of it into {@code json}. */
  private void fitToError(Console console, Device device, Path base, Path target, JsonObject json) {
    if (fitSteps == 0) {
      return;
    }
    try (Checkpoint checkpoint = Checkpoint.open(device, base)) {
      if (checkpoint.linearWeights().stream().anyMatch(checkpoint::isQuantized)) {
        console.print("quantised already: what that cost cannot be seen without the dense weights");
        return;
      }
      AdapterFit fit = new AdapterFit(rank, fitSteps, FIT_LEARNING_RATE, seed);
      json.put(
          "quantization",
          new QuantizationFit(console, fit, rank, seed).run(device, checkpoint, target));
    }
  }

  /** Puts what came of it into {@code json}. */
  private void fineTune(Console console, Device device, Path base, Path target, JsonObject json) {
    LoraSpec lora = LoraSpec.rank(rank).alpha(2 * rank).dropout(0.05f).seed(seed);
    TrainingConfig config =
        TrainingConfig.builder()
            .maxSteps(steps)
            .batchSize(BATCH)
            .learningRate(learningRate)
            .lrScheduler(LearningRateScheduler.COSINE)
            .warmupRatio(0.05)
            .seed(seed)
            .evalSteps(steps)
            .saveSteps(0)
            .outputDirectory(target)
            .build();
    try (ModelEncoder encoder = ModelEncoder.of(base, EncodingOptions.ofLength(MAX_LENGTH));
        CausalLm lm = CausalLm.load(device, base, quantized())) {
      console.print("");
      console.print(
          "fine-tuning %,d weights, projections in NF4 with double quantisation:",
          lm.config().parameterCount());
      EncodedData train = read(encoder, data, "data/train.jsonl");
      EncodedData heldOut = read(encoder, evalData, "data/held_out.jsonl");
      Tokenizer tokenizer = encoder.tokenizer().orElseThrow(QuickstartCommand::needsTexts);
      lm.attachLora(lora);
      try (MetricsWriter metrics = new MetricsWriter(target.resolve("metrics.jsonl"));
          TrainingProgress progress = new TrainingProgress(console)) {
        Trainer trainer =
            Trainer.of(lm, config).data(train).evaluationData(heldOut).listener(metrics);
        trainer.listener(progress);
        Look before = look(trainer.evaluate(), lm, tokenizer);
        TrainingResult result = trainer.train(); // evaluates after its last step
        progress.close();
        Look after = look(result.evaluation(), lm, tokenizer);
        show(console, before, after);
        verify(device, base, target, heldOut, after.loss());
        report(console, target, before, after, result, json);
      }
    }
  }

  private static LoadOptions quantized() {
    return LoadOptions.asStored().bits(4).doubleQuantized(true);
  }

  private static Path defaults() {
    String home = System.getProperty(HOME);
    if (home == null) {
      throw new InvalidArgumentException(
          "--model, --data and --eval-data are needed, since the property "
              + HOME
              + " does not name the repository");
    }
    return Path.of(home, DEFAULTS);
  }

  private Path target() {
    try {
      return out != null ? out : Files.createTempDirectory("lk-quickstart-");
    } catch (IOException failure) {
      throw new UncheckedIOException("no directory for the adapter: " + failure, failure);
    }
  }

  private static EncodedData read(ModelEncoder encoder, Path given, String standard) {
    Path file = given != null ? given : defaults().resolve(standard);
    return EncodedData.read(file, null, encoder, Collation.RAGGED);
  }

  private static InvalidArgumentException needsTexts() {
    return new InvalidArgumentException(
        "quickstart continues a text, but the data are token ids; use lk train");
  }

  private Look look(EvaluationMetrics loss, CausalLm lm, Tokenizer tokenizer) {
    GenerationConfig sampled =
        GenerationConfig.of(Sampling.temperature(0.5, seed)).maxNewTokens(160);
    String text = TextGenerator.of(lm, tokenizer).generate(prompt, sampled, piece -> {}).text();
    return new Look(loss, prompt + text);
  }

  private static void show(Console console, Look before, Look after) {
    console.print("");
    Table table = new Table("on texts that were not trained on", "loss", "perplexity");
    table.row("NF4 base", number(before.loss.loss()), number(before.loss.perplexity()));
    table.row("NF4 base + LoRA", number(after.loss.loss()), number(after.loss.perplexity()));
    console.print(table);
    console.print("before: %s%n", indented(before.text));
    console.print("after:  %s%n", indented(after.text));
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.3f", value);
  }

  private static String indented(String text) {
    return text.strip().replace("\n", System.lineSeparator() + "        ");
  }

  /** The saved adapter on a base that is loaded anew must give the same bits. */
  private static void verify(
      Device device, Path base, Path saved, EncodedData heldOut, EvaluationMetrics expected) {
    try (CausalLm reloaded = CausalLm.load(device, base, quantized())) {
      reloaded.loadAdapter(saved);
      TrainingConfig same = TrainingConfig.builder().batchSize(BATCH).build();
      double loss = Trainer.of(reloaded, same).evaluationData(heldOut).evaluate().loss();
      if (loss != expected.loss()) {
        throw new LoraKernelsException(
            "verification failed: the reloaded adapter has the loss "
                + loss
                + ", but the trained one "
                + expected.loss());
      }
    }
  }

  private static void report(
      Console console,
      Path target,
      Look before,
      Look after,
      TrainingResult result,
      JsonObject json) {
    console.print("adapter: %s (PEFT's format); reloaded, the loss is the same to the bit", target);
    console.print("%d steps at %.0f tokens/s", result.steps(), result.tokensPerSecond());
    json.put("loss_before", before.loss.loss())
        .put("loss_after", after.loss.loss())
        .put("text_before", before.text)
        .put("text_after", after.text)
        .put("steps", result.steps())
        .put("tokens_per_second", result.tokensPerSecond())
        .put("adapter", target.toString());
  }
}
