package org.lorakernels.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraConfig;
import org.lorakernels.peft.PeftConfig;
import org.lorakernels.training.OptimizerType;
import org.lorakernels.training.TrainingConfig;
import org.lorakernels.training.model.LoraSpec;
import org.lorakernels.training.schedule.LearningRateScheduler;
import picocli.CommandLine.Option;

/**
 * The options of {@code lk train} in groups, as its help shows them. Names are TRL's and PEFT's.
 */
final class TrainOptions {
  private TrainOptions() {}

  /** Which adapters are trained, or that none are. */
  static final class Adapter {
    @Option(
        names = "--adapter",
        paramLabel = "DIR",
        description =
            "Go on with an adapter in PEFT's format; rank, alpha and targets are its own.")
    Path adapter;

    @Option(
        names = {"--lora-r", "--rank"},
        paramLabel = "N",
        description = "Rank, 1 ... 256 (${DEFAULT-VALUE}).")
    int rank = 16;

    @Option(
        names = "--lora-alpha",
        paramLabel = "N",
        description = "Scaling is alpha / rank (${DEFAULT-VALUE}).")
    float alpha = 32;

    @Option(
        names = "--lora-dropout",
        paramLabel = "P",
        description =
            "Share of the adapters' input that is dropped in training (0.05; with"
                + " --adapter: its own).")
    Float dropout;

    @Option(
        names = "--lora-target-modules",
        paramLabel = "NAME",
        split = ",",
        description = "Modules by name (q_proj,v_proj), or all-linear (${DEFAULT-VALUE}).")
    List<String> targets = List.of(LoraSpec.ALL_LINEAR);

    @Option(
        names = "--target-regex",
        paramLabel = "REGEX",
        description = "Modules whose whole name matches, instead of names.")
    String targetRegex;

    @Option(
        names = "--layers",
        paramLabel = "FROM-TO",
        description = "Only the layers of this range, counted from 0, both ends included.")
    String layers;

    @Option(names = "--use-rslora", description = "Scaling is alpha / sqrt(rank) (rsLoRA).")
    boolean rsLora;

    @Option(names = "--use-dora", description = "Train the norms of rows as well (DoRA).")
    boolean dora;

    @Option(
        names = "--rank-pattern",
        paramLabel = "REGEX=N",
        description = "Another rank for modules whose name ends so; may be repeated.")
    Map<String, Integer> rankPattern = new LinkedHashMap<>();

    @Option(
        names = "--alpha-pattern",
        paramLabel = "REGEX=N",
        description = "Another alpha for them; the first pattern that matches counts.")
    Map<String, Float> alphaPattern = new LinkedHashMap<>();

    @Option(
        names = "--full",
        description =
            "Train the dense weights themselves, without adapters; a whole model is" + " written.")
    boolean full;

    @Option(
        names = "--trainable",
        paramLabel = "REGEX",
        description = "With --full: only weights whose whole name matches.")
    String trainable = ".*";

    /** What is planned for: null where dense weights are trained. */
    LoraSpec planned() {
      if (full) {
        return null;
      }
      if (adapter == null) {
        return spec(0);
      }
      return LoraSpec.of(PeftConfig.read(adapter));
    }

    /** The adapters of a new run. */
    LoraSpec spec(long seed) {
      LoraSpec spec =
          LoraSpec.rank(rank)
              .alpha(alpha)
              .dropout(dropout == null ? 0.05f : dropout)
              .rsLora(rsLora)
              .dora(dora)
              .seed(seed);
      spec = targetRegex == null ? spec.targets(targets) : spec.targetsMatching(targetRegex);
      if (layers != null) {
        int[] range = range();
        spec = spec.layers(range[0], range[1] + 1);
      }
      Set<String> patterns = new LinkedHashSet<>(rankPattern.keySet());
      patterns.addAll(alphaPattern.keySet());
      for (String pattern : patterns) {
        LoraConfig other =
            LoraConfig.rank(rankPattern.getOrDefault(pattern, rank))
                .alpha(alphaPattern.getOrDefault(pattern, alpha))
                .dropout(spec.base().dropout())
                .rsLora(rsLora);
        spec = spec.override(pattern, other);
      }
      return spec;
    }

    private int[] range() {
      if (!layers.matches("\\d{1,6}-\\d{1,6}")) {
        throw new InvalidArgumentException(
            "--layers must be FROM-TO, for example 8-15, but is " + layers);
      }
      int dash = layers.indexOf('-');
      return new int[] {
        Integer.parseInt(layers.substring(0, dash)), Integer.parseInt(layers.substring(dash + 1))
      };
    }
  }

  /** How long, how fast, in which order. */
  static final class Optimization {
    @Option(
        names = {"--epochs", "--num-train-epochs"},
        paramLabel = "N",
        description = "Passes over the data (${DEFAULT-VALUE}).")
    double epochs = 3;

    @Option(
        names = "--max-steps",
        paramLabel = "N",
        description =
            "Steps in all, whatever the epochs; 0: as many as the epochs need"
                + " (${DEFAULT-VALUE}).")
    long maxSteps;

    @Option(
        names = {"--batch-size", "--per-device-train-batch-size"},
        paramLabel = "N",
        description = "Examples of one pass (${DEFAULT-VALUE}).")
    int batchSize = 8;

    @Option(
        names = "--gradient-accumulation-steps",
        paramLabel = "N",
        description =
            "Passes of one step; the loss is the mean over all their labelled tokens"
                + " (${DEFAULT-VALUE}).")
    int accumulation = 1;

    @Option(
        names = "--learning-rate",
        paramLabel = "X",
        description = "The highest learning rate (${DEFAULT-VALUE}).")
    double learningRate = 2e-4;

    @Option(
        names = {"--lr-scheduler", "--lr-scheduler-type"},
        paramLabel = "NAME",
        description = "constant, linear or cosine, after the warm-up (${DEFAULT-VALUE}).")
    String lrScheduler = "linear";

    @Option(
        names = "--warmup-steps",
        paramLabel = "N",
        description = "Steps in which the learning rate rises from 0 (${DEFAULT-VALUE}).")
    long warmupSteps;

    @Option(
        names = "--warmup-ratio",
        paramLabel = "P",
        description = "The same as a share of all steps (${DEFAULT-VALUE}).")
    double warmupRatio;

    @Option(
        names = "--optim",
        paramLabel = "NAME",
        description =
            "adamw_torch, adamw_bf16, adamw_8bit, paged_adamw_32bit or paged_adamw_8bit: how the"
                + " optimiser's states are kept (${DEFAULT-VALUE}).")
    String optim = OptimizerType.ADAMW_TORCH.toString();

    @Option(
        names = "--weight-decay",
        paramLabel = "X",
        description = "Decoupled; norms and biases never decay (${DEFAULT-VALUE}).")
    double weightDecay;

    @Option(
        names = "--max-grad-norm",
        paramLabel = "X",
        description = "Clip the norm of all gradients; 0: do not (${DEFAULT-VALUE}).")
    double maxGradNorm = 1;

    @Option(
        names = "--no-shuffle",
        description = "Take examples in the order of the file, in every epoch.")
    boolean noShuffle;

    @Option(
        names = "--seed",
        paramLabel = "N",
        description = "Of the order, new adapters and dropout (${DEFAULT-VALUE}).")
    long seed = 42;

    @Option(
        names = "--gradient-checkpointing",
        description = "Keep less for backward and compute it again: slower, much less memory.")
    boolean checkpointing;
  }

  /** What is written, when, and how to go on. */
  static final class Output {
    @Option(
        names = "--metrics",
        paramLabel = "FILE",
        description =
            "One JSON object a step: step, loss, grad_norm, lr, tokens"
                + " (OUT/metrics.jsonl). The plot is OUT/loss.png and OUT/loss.svg.")
    Path metrics;

    @Option(
        names = "--save-steps",
        paramLabel = "N",
        description = "Write OUT/checkpoint-STEP every N steps; 0: never (${DEFAULT-VALUE}).")
    long saveSteps = 500;

    @Option(
        names = "--save-total-limit",
        paramLabel = "N",
        description = "Keep the newest N checkpoints; 0: all (${DEFAULT-VALUE}).")
    int saveTotalLimit = 2;

    @Option(
        names = "--eval-steps",
        paramLabel = "N",
        description =
            "With --eval-data: evaluate every N steps; 0: after each epoch"
                + " (${DEFAULT-VALUE}).")
    long evalSteps;

    @Option(
        names = {"--resume", "--resume-from-checkpoint"},
        description = "Go on from the newest whole checkpoint in OUT, to the same bits.")
    boolean resume;

    @Option(names = "--overwrite", description = "Remove the checkpoints of an earlier run in OUT.")
    boolean overwrite;

    @Option(
        names = "--memory-limit",
        paramLabel = "SIZE",
        description =
            "Refuse a run that needs more, such as 800M or 12G; 0: never refuse (what"
                + " is available now).")
    String memoryLimit;
  }

  /** Everything that the trainer is told. */
  static TrainingConfig config(Optimization optimization, Output output, Path out) {
    return TrainingConfig.builder()
        .epochs(optimization.epochs)
        .maxSteps(optimization.maxSteps)
        .batchSize(optimization.batchSize)
        .gradientAccumulationSteps(optimization.accumulation)
        .learningRate(optimization.learningRate)
        .lrScheduler(LearningRateScheduler.of(optimization.lrScheduler))
        .warmupSteps(optimization.warmupSteps)
        .warmupRatio(optimization.warmupRatio)
        .optimizer(OptimizerType.of(optimization.optim))
        .weightDecay(optimization.weightDecay)
        .maxGradNorm(optimization.maxGradNorm)
        .shuffle(!optimization.noShuffle)
        .seed(optimization.seed)
        .saveSteps(output.saveSteps)
        .saveTotalLimit(output.saveTotalLimit)
        .evalSteps(output.evalSteps)
        .outputDirectory(out)
        .build();
  }
}
