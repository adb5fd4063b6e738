package org.lorakernels.training;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Parameter;
import org.lorakernels.StepResult;
import org.lorakernels.TransformerKernels;
import org.lorakernels.training.checkpoint.CheckpointWriter;
import org.lorakernels.training.checkpoint.TrainingCheckpoint;
import org.lorakernels.training.data.Batch;

/** One call of {@link Trainer#train}, from the first step to the result. */
final class TrainingRun {
  private final Trainer trainer;
  private final TrainableModel model;
  private final TrainingConfig config;
  private final List<TrainingListener> listeners;
  private final List<Parameter> parameters;
  private final DecayGroups optimizer;
  private final CheckpointWriter writer; // null: nothing is written
  private final DataOrder order;
  private final RunState state;
  private final long totalSteps;
  private final long start = System.nanoTime();

  private long savedStep = -1;
  private double lossSum;
  private double lastLoss = Double.NaN;
  private long lossSteps;
  private long tokens;
  private EvaluationMetrics evaluation;

  TrainingRun(
      Trainer trainer, List<Parameter> parameters, DecayGroups optimizer, CheckpointWriter writer) {
    this.trainer = trainer;
    this.model = trainer.model();
    this.config = trainer.config();
    this.listeners = trainer.listeners();
    this.parameters = parameters;
    this.optimizer = optimizer;
    this.writer = writer;
    this.order = new DataOrder(trainer.trainingData().size(), config);
    this.state = new RunState(model, optimizer, config, trainer.trainingData());
    this.totalSteps = order.totalSteps(config);
  }

  TrainingResult run() {
    long step = trainer.resumes() ? restore() : begin();
    long first = step + 1;
    listeners.forEach(listener -> listener.started(first, totalSteps));
    while (step < totalSteps && !trainer.isStopped()) {
      StepMetrics metrics = step(++step);
      listeners.forEach(listener -> listener.step(metrics));
      if (isDue(step)) {
        evaluate(step);
      }
      if (config.saveSteps() > 0 && step % config.saveSteps() == 0) {
        save(step);
      }
    }
    return finish(step);
  }

  /** Old checkpoints would be taken for this run's, and pass for newer. */
  private long begin() {
    if (writer != null && config.saveSteps() > 0 && writer.hasCheckpoints()) {
      throw new InvalidArgumentException(
          "Trainer: "
              + config.outputDirectory()
              + " has checkpoints of an earlier run: resume it, remove them, or name another"
              + " directory");
    }
    return 0;
  }

  private long restore() {
    if (writer == null) {
      throw new InvalidArgumentException(
          "Trainer: resume needs the output directory of the run, but none was given");
    }
    return TrainingCheckpoint.newest(config.outputDirectory(), this::warn)
        .map(checkpoint -> savedStep = state.restore(checkpoint, this::warn))
        .orElse(0L);
  }

  private void warn(String message) {
    listeners.forEach(listener -> listener.warned(message));
  }

  private StepMetrics step(long step) {
    long begin = System.nanoTime();
    int[][] examples = order.batches(step - 1);
    List<Batch> batches = new ArrayList<>(examples.length);
    long labelled = 0;
    long stepTokens = 0;
    for (int[] numbers : examples) {
      Batch batch = trainer.trainingData().batch(numbers);
      batches.add(batch);
      labelled += batch.labelledTokens();
      stepTokens += batch.tokens();
    }
    tokens += stepTokens;
    double epoch = (double) step / order.stepsPerEpoch();
    double rate = learningRate(step);
    if (labelled == 0) {
      // Nothing to learn from; moments and parameters stay, which a gradient of zero would move.
      return new StepMetrics(
          step, totalSteps, epoch, Double.NaN, 0, rate, 0, stepTokens, seconds(begin));
    }
    optimizer.zeroGradients();
    double sum = 0;
    for (int i = 0; i < batches.size(); i++) {
      model.dropoutStep((step - 1) * config.gradientAccumulationSteps() + i);
      sum += model.lossAndGradients(batches.get(i), 1f / labelled);
    }
    double loss = sum / labelled;
    StepResult result = Double.isFinite(loss) ? optimizer.step(rate) : null;
    if (result == null || result.skipped()) {
      throw diverged(step, loss);
    }
    lastLoss = loss;
    lossSum += loss;
    lossSteps++;
    return new StepMetrics(
        step,
        totalSteps,
        epoch,
        loss,
        result.gradientNorm(),
        rate,
        labelled,
        stepTokens,
        seconds(begin));
  }

  private double learningRate(long step) {
    return config.learningRate()
        * config.lrScheduler().factor(step - 1, config.warmupSteps(totalSteps), totalSteps);
  }

  private boolean isDue(long step) {
    if (trainer.evaluationData() == null) {
      return false;
    }
    long every = config.evalSteps() > 0 ? config.evalSteps() : order.stepsPerEpoch();
    return step % every == 0 || step == totalSteps;
  }

  private void evaluate(long step) {
    model.training(false);
    evaluation = evaluate(model, trainer.evaluationData(), config.batchSize(), step);
    model.training(true);
    listeners.forEach(listener -> listener.evaluated(evaluation));
  }

  private void save(long step) {
    if (writer != null && savedStep != step) {
      Path directory = state.write(writer, step);
      savedStep = step;
      listeners.forEach(listener -> listener.saved(step, directory));
    }
  }

  /** Keeps what the steps before have learnt, and says which tensor broke. */
  private TrainingDivergedException diverged(long step, double loss) {
    double[] squares =
        TransformerKernels.sumsOfSquares(parameters.stream().map(Parameter::gradient).toList());
    String tensor = "loss";
    int broken = 0;
    for (int i = parameters.size() - 1; i >= 0; i--) {
      if (!Double.isFinite(squares[i])) {
        tensor = parameters.get(i).name();
        broken++;
      }
    }
    String kept = "";
    if (writer != null && config.saveSteps() > 0 && step > 1) {
      save(step - 1);
      kept = "; the state before it is kept in " + config.outputDirectory();
    }
    return new TrainingDivergedException(
        step,
        tensor,
        String.format(
            Locale.ROOT,
            "training stopped at step %d: the loss is %s and the gradients of %d of %d tensors are"
                + " not finite (first: %s)%s; %s, or compute in F32",
            step,
            loss,
            broken,
            parameters.size(),
            tensor,
            kept,
            step == 1
                ? "nothing was updated yet: look for values in the checkpoint that are not finite"
                : "lower the learning rate, lengthen the warm-up"));
  }

  private TrainingResult finish(long step) {
    boolean complete = step >= totalSteps;
    if (!complete && config.saveSteps() > 0) {
      save(step);
    }
    if (writer != null) {
      model.saveResult(config.outputDirectory());
    }
    TrainingResult result =
        new TrainingResult(
            step,
            lossSteps == 0 ? Double.NaN : lossSum / lossSteps,
            lastLoss,
            evaluation,
            tokens,
            seconds(start),
            complete);
    listeners.forEach(listener -> listener.finished(result));
    return result;
  }

  /** Mean loss over all labelled tokens of {@code data}; the model is not in training. */
  static EvaluationMetrics evaluate(
      TrainableModel model, TrainingData data, int batchSize, long step) {
    long start = System.nanoTime();
    double sum = 0;
    long labelled = 0;
    for (int from = 0; from < data.size(); from += batchSize) {
      int to = Math.min(from + batchSize, data.size());
      Batch batch = data.batch(IntStream.range(from, to).toArray());
      sum += model.loss(batch);
      labelled += batch.labelledTokens();
    }
    if (labelled == 0) {
      throw new InvalidArgumentException(
          "Trainer: the evaluation data must have labelled tokens, but has none");
    }
    return new EvaluationMetrics(step, sum / labelled, labelled, seconds(start));
  }

  private static double seconds(long start) {
    return (System.nanoTime() - start) / 1e9;
  }
}
