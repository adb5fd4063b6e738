package org.lorakernels.training;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Parameter;
import org.lorakernels.training.checkpoint.CheckpointWriter;
import org.lorakernels.training.model.CausalLm;

/**
 * Trains what is trainable in a model: batches in a seeded order, gradients accumulated over a
 * step, clipped by their global norm, applied by AdamW along a schedule; evaluations, checkpoints
 * and a result on the way. A run with the same model, data and configuration gives the same bits,
 * resumed or not.
 *
 * <p>The loss of a step is the mean over all labelled tokens of all its batches (transformers'
 * {@code num_items_in_batch}), not the mean of the batches' means.
 *
 * <p>For one run on one thread; only {@link #stop} may be called by another.
 */
public final class Trainer {
  private final TrainableModel model;
  private final TrainingConfig config;
  private final List<TrainingListener> listeners = new ArrayList<>();
  private TrainingData data;
  private TrainingData evaluationData;
  private boolean resume;
  private volatile boolean stopped;

  Trainer(TrainableModel model, TrainingConfig config) {
    this.model = model;
    this.config = config;
  }

  // ---- set up

  /**
   * A trainer of what is trainable in a model: attach adapters or choose dense weights first.
   *
   * @param model stays the caller's
   * @param config how the run goes
   */
  public static Trainer of(CausalLm model, TrainingConfig config) {
    return new Trainer(new CausalLmTraining(model), config);
  }

  /** What to train on; required. */
  public Trainer data(TrainingData examples) {
    data = Objects.requireNonNull(examples, "examples");
    return this;
  }

  /** What to evaluate on during training; null (default): nothing. */
  public Trainer evaluationData(TrainingData examples) {
    evaluationData = examples;
    return this;
  }

  /** Adds a listener; they are told in the order in which they were added. */
  public Trainer listener(TrainingListener listener) {
    listeners.add(Objects.requireNonNull(listener, "listener"));
    return this;
  }

  /**
   * Whether to go on from the newest whole checkpoint in the output directory, or from the start
   * where there is none; false by default.
   */
  public Trainer resume(boolean enabled) {
    resume = enabled;
    return this;
  }

  // ---- run

  /** Ends the run after the step that is running, with a checkpoint. Thread-safe. */
  public void stop() {
    stopped = true;
  }

  /**
   * Trains.
   *
   * @throws TrainingDivergedException if a loss or gradient is not finite
   * @throws org.lorakernels.CheckpointException if files cannot be written or read
   * @throws InvalidArgumentException if nothing is trainable, there is no data, or a checkpoint is
   *     of another run
   */
  public TrainingResult train() {
    if (data == null) {
      throw new InvalidArgumentException("Trainer: data must be given before train()");
    }
    List<Parameter> parameters = List.copyOf(model.parameters().values());
    if (parameters.isEmpty()) {
      throw new InvalidArgumentException(
          "Trainer: the model must have something to train; attach an adapter or choose dense"
              + " weights");
    }
    CheckpointWriter writer =
        config.outputDirectory() == null
            ? null
            : new CheckpointWriter(config.outputDirectory(), config.saveTotalLimit());
    try (DecayGroups optimizer =
        new DecayGroups(parameters, config.adamW(), config.optimizer(), config.outputDirectory())) {
      model.training(true);
      return new TrainingRun(this, parameters, optimizer, writer).run();
    } finally {
      model.training(false);
    }
  }

  /**
   * Evaluates on the evaluation data as the model is now, without dropout.
   *
   * @return its {@code step} is 0
   */
  public EvaluationMetrics evaluate() {
    if (evaluationData == null) {
      throw new InvalidArgumentException(
          "Trainer: evaluation data must be given before evaluate()");
    }
    return TrainingRun.evaluate(model, evaluationData, config.batchSize(), 0);
  }

  TrainableModel model() {
    return model;
  }

  TrainingConfig config() {
    return config;
  }

  TrainingData trainingData() {
    return data;
  }

  /** Null: none. */
  TrainingData evaluationData() {
    return evaluationData;
  }

  List<TrainingListener> listeners() {
    return listeners;
  }

  boolean resumes() {
    return resume;
  }

  boolean isStopped() {
    return stopped;
  }
}
