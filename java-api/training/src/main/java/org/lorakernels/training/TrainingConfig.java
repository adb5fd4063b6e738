package org.lorakernels.training;

import java.nio.file.Path;
import java.util.Objects;
import org.lorakernels.AdamWConfig;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.schedule.LearningRateScheduler;

/**
 * How a run goes; immutable. Names and meanings follow transformers' {@code TrainingArguments},
 * which TRL shares; a default that differs says why.
 *
 * <pre>{@code
 * TrainingConfig.builder().epochs(3).learningRate(2e-4).outputDirectory(out).build()
 * }</pre>
 */
public final class TrainingConfig {
  private final Builder values;

  private TrainingConfig(Builder values) {
    this.values = values;
  }

  /** Starts with the defaults. */
  public static Builder builder() {
    return new Builder();
  }

  /** A builder that starts with these values. */
  public Builder toBuilder() {
    return values.copy();
  }

  /** Passes over the data, at least part of one; not used where {@link #maxSteps} is set. */
  public double epochs() {
    return values.epochs;
  }

  /** Steps of the optimiser in all; 0: as many as the epochs need. */
  public long maxSteps() {
    return values.maxSteps;
  }

  /** Examples of one forward and backward pass. */
  public int batchSize() {
    return values.batchSize;
  }

  /** Passes whose gradients are added up before a step of the optimiser. */
  public int gradientAccumulationSteps() {
    return values.gradientAccumulationSteps;
  }

  /** The highest learning rate, reached at the end of the warm-up. */
  public double learningRate() {
    return values.learningRate;
  }

  /** The course of the learning rate. */
  public LearningRateScheduler lrScheduler() {
    return values.lrScheduler;
  }

  /**
   * Steps of the warm-up of a run.
   *
   * @param totalSteps steps of the whole run
   * @return {@code warmupSteps}, or where that is 0, {@code warmupRatio} of the run, rounded up
   */
  public long warmupSteps(long totalSteps) {
    return values.warmupSteps > 0
        ? values.warmupSteps
        : (long) Math.ceil(totalSteps * values.warmupRatio);
  }

  /** The norm that gradients are scaled down to where theirs is larger; 0: never. */
  public double maxGradNorm() {
    return values.maxGradNorm;
  }

  /** How the states of the optimiser are kept. */
  public OptimizerType optimizer() {
    return values.optimizer;
  }

  /**
   * Betas, epsilon, weight decay, clipping and kind of states of the optimiser, with the highest
   * learning rate.
   */
  public AdamWConfig adamW() {
    return AdamWConfig.defaults()
        .learningRate(values.learningRate)
        .betas(values.adamBeta1, values.adamBeta2)
        .epsilon(values.adamEpsilon)
        .weightDecay(values.weightDecay)
        .maxGradNorm(values.maxGradNorm)
        .stateType(values.optimizer.stateType());
  }

  /** Whether every epoch has an order of its own; false: the order of the data. */
  public boolean shuffle() {
    return values.shuffle;
  }

  /** Seed of the order of the data. */
  public long seed() {
    return values.seed;
  }

  /** Steps from one evaluation to the next; 0: at the end of every epoch and of the run. */
  public long evalSteps() {
    return values.evalSteps;
  }

  /** Steps from one checkpoint to the next; 0: none. */
  public long saveSteps() {
    return values.saveSteps;
  }

  /** Checkpoints that are kept, the newest ones; 0: all. */
  public int saveTotalLimit() {
    return values.saveTotalLimit;
  }

  /** Where checkpoints and the result go; null: nowhere. */
  public Path outputDirectory() {
    return values.outputDirectory;
  }

  /** All values by their names, for the record. */
  public JsonObject json() {
    return new JsonObject()
        .put("epochs", values.epochs)
        .put("max_steps", values.maxSteps)
        .put("batch_size", values.batchSize)
        .put("gradient_accumulation_steps", values.gradientAccumulationSteps)
        .put("learning_rate", values.learningRate)
        .put("lr_scheduler", values.lrScheduler.toString())
        .put("warmup_steps", values.warmupSteps)
        .put("warmup_ratio", values.warmupRatio)
        .put("weight_decay", values.weightDecay)
        .put("adam_beta1", values.adamBeta1)
        .put("adam_beta2", values.adamBeta2)
        .put("adam_epsilon", values.adamEpsilon)
        .put("optim", values.optimizer.toString())
        .put("max_grad_norm", values.maxGradNorm)
        .put("shuffle", values.shuffle)
        .put("seed", values.seed)
        .put("eval_steps", values.evalSteps)
        .put("save_steps", values.saveSteps)
        .put("save_total_limit", values.saveTotalLimit);
  }

  /** Collects values. Each setter returns this builder; {@link #build} checks them. */
  public static final class Builder {
    private double epochs = 3;
    private long maxSteps;
    private int batchSize = 8;
    private int gradientAccumulationSteps = 1;
    private double learningRate = 2e-4; // adapters take more than the 5e-5 of full fine-tuning
    private LearningRateScheduler lrScheduler = LearningRateScheduler.LINEAR;
    private long warmupSteps;
    private double warmupRatio;
    private double weightDecay;
    private double adamBeta1 = 0.9;
    private double adamBeta2 = 0.999;
    private double adamEpsilon = 1e-8;
    private OptimizerType optimizer = OptimizerType.ADAMW_TORCH;
    private double maxGradNorm = 1;
    private boolean shuffle = true;
    private long seed = 42;
    private long evalSteps;
    private long saveSteps = 500;
    private int saveTotalLimit = 2; // transformers keeps all, which fills disks
    private Path outputDirectory;

    private Builder() {}

    private Builder copy() {
      Builder copy = new Builder();
      copy.epochs = epochs;
      copy.maxSteps = maxSteps;
      copy.batchSize = batchSize;
      copy.gradientAccumulationSteps = gradientAccumulationSteps;
      copy.learningRate = learningRate;
      copy.lrScheduler = lrScheduler;
      copy.warmupSteps = warmupSteps;
      copy.warmupRatio = warmupRatio;
      copy.weightDecay = weightDecay;
      copy.adamBeta1 = adamBeta1;
      copy.adamBeta2 = adamBeta2;
      copy.adamEpsilon = adamEpsilon;
      copy.optimizer = optimizer;
      copy.maxGradNorm = maxGradNorm;
      copy.shuffle = shuffle;
      copy.seed = seed;
      copy.evalSteps = evalSteps;
      copy.saveSteps = saveSteps;
      copy.saveTotalLimit = saveTotalLimit;
      copy.outputDirectory = outputDirectory;
      return copy;
    }

    /** Passes over the data, above 0; 3 by default. */
    public Builder epochs(double value) {
      epochs = value;
      return this;
    }

    /** Steps of the optimiser, which end the run whatever the epochs are; 0 (default): epochs. */
    public Builder maxSteps(long value) {
      maxSteps = value;
      return this;
    }

    /** Examples of one pass, at least 1; 8 by default. */
    public Builder batchSize(int value) {
      batchSize = value;
      return this;
    }

    /** Passes of one step of the optimiser, at least 1, the default. */
    public Builder gradientAccumulationSteps(int value) {
      gradientAccumulationSteps = value;
      return this;
    }

    /** The highest learning rate; 2e-4 by default. */
    public Builder learningRate(double value) {
      learningRate = value;
      return this;
    }

    /** The course of the learning rate; linear by default. */
    public Builder lrScheduler(LearningRateScheduler value) {
      lrScheduler = value;
      return this;
    }

    /** Steps of the warm-up; 0 (default): {@link #warmupRatio} counts. */
    public Builder warmupSteps(long value) {
      warmupSteps = value;
      return this;
    }

    /** The share of the run, in [0, 1], that is warm-up; 0 by default. */
    public Builder warmupRatio(double value) {
      warmupRatio = value;
      return this;
    }

    /** Decoupled weight decay; 0 by default. Norm weights and biases never decay. */
    public Builder weightDecay(double value) {
      weightDecay = value;
      return this;
    }

    /** Decay rates of AdamW's moments; 0.9 and 0.999 by default. */
    public Builder adamBetas(double first, double second) {
      adamBeta1 = first;
      adamBeta2 = second;
      return this;
    }

    /** The term of AdamW's denominator; 1e-8 by default. */
    public Builder adamEpsilon(double value) {
      adamEpsilon = value;
      return this;
    }

    /** How the optimiser's states are kept; F32 in memory by default. */
    public Builder optimizer(OptimizerType value) {
      optimizer = Objects.requireNonNull(value, "optimizer");
      return this;
    }

    /** The largest norm of all gradients together; 1 by default; 0: no limit. */
    public Builder maxGradNorm(double value) {
      maxGradNorm = value;
      return this;
    }

    /** Whether to shuffle, true by default. */
    public Builder shuffle(boolean value) {
      shuffle = value;
      return this;
    }

    /** Seed of the order of the data; 42 by default. */
    public Builder seed(long value) {
      seed = value;
      return this;
    }

    /** Steps between evaluations; 0 (default): after each epoch. */
    public Builder evalSteps(long value) {
      evalSteps = value;
      return this;
    }

    /** Steps between checkpoints; 500 by default; 0: none. */
    public Builder saveSteps(long value) {
      saveSteps = value;
      return this;
    }

    /** How many checkpoints are kept; 2 by default; 0: all. */
    public Builder saveTotalLimit(int value) {
      saveTotalLimit = value;
      return this;
    }

    /** Where checkpoints and the result go; null (default): nothing is written. */
    public Builder outputDirectory(Path value) {
      outputDirectory = value;
      return this;
    }

    /**
     * The configuration.
     *
     * @throws InvalidArgumentException if a value is out of its range
     */
    public TrainingConfig build() {
      require("epochs", epochs, epochs > 0 && Double.isFinite(epochs), "above 0");
      require("max steps", maxSteps, maxSteps >= 0, "at least 0");
      require("batch size", batchSize, batchSize >= 1, "at least 1");
      require(
          "gradient accumulation steps",
          gradientAccumulationSteps,
          gradientAccumulationSteps >= 1,
          "at least 1");
      require("warm-up steps", warmupSteps, warmupSteps >= 0, "at least 0");
      require("warm-up ratio", warmupRatio, warmupRatio >= 0 && warmupRatio <= 1, "in [0, 1]");
      require("max grad norm", maxGradNorm, maxGradNorm >= 0, "at least 0");
      require("eval steps", evalSteps, evalSteps >= 0, "at least 0");
      require("save steps", saveSteps, saveSteps >= 0, "at least 0");
      require("save total limit", saveTotalLimit, saveTotalLimit >= 0, "at least 0");
      TrainingConfig config = new TrainingConfig(copy());
      config.adamW(); // checks its own values
      return config;
    }

    private static void require(String name, Number value, boolean fits, String expected) {
      if (!fits) {
        throw new InvalidArgumentException(
            "TrainingConfig: " + name + " must be " + expected + ", but is " + value);
      }
    }
  }
}
