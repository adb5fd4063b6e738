package org.lorakernels.cli;

import java.util.Locale;
import org.lorakernels.training.EvaluationMetrics;
import org.lorakernels.training.StepMetrics;
import org.lorakernels.training.TrainingListener;

/** Shows how a run goes: loss, tokens a second and remaining time beside the bar. */
final class TrainingProgress implements TrainingListener, AutoCloseable {
  private final Console console;
  private Console.Progress progress;
  private long firstStep;
  private long tokens;
  private double seconds;
  private double firstLoss = Double.NaN;

  TrainingProgress(Console console) {
    this.console = console;
  }

  @Override
  public void started(long first, long total) {
    firstStep = first;
    if (first > 1) {
      console.print("going on with step %d of %d", first, total);
    }
    progress = console.progress("train", total);
  }

  @Override
  public void step(StepMetrics metrics) {
    tokens += metrics.tokens();
    seconds += metrics.seconds();
    firstLoss = Double.isNaN(firstLoss) ? metrics.loss() : firstLoss;
    long done = metrics.step() - firstStep + 1;
    double remaining = seconds / done * (metrics.totalSteps() - metrics.step());
    progress.note(
        String.format(
            Locale.ROOT,
            "loss %.4f, %.0f tokens/s, %s left",
            metrics.loss(),
            tokens / seconds,
            Units.duration(remaining)));
    progress.to(metrics.step());
  }

  @Override
  public void evaluated(EvaluationMetrics metrics) {
    console.print(
        "step %d: evaluation loss %.4f, perplexity %.3f",
        metrics.step(), metrics.loss(), metrics.perplexity());
  }

  @Override
  public void warned(String message) {
    console.warn(message);
  }

  /** Loss of the first step that was taken; NaN where there was none. */
  double firstLoss() {
    return firstLoss;
  }

  @Override
  public void close() {
    if (progress != null) {
      progress.close();
    }
  }
}
