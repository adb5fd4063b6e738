package org.lorakernels.training.metrics;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.lorakernels.CheckpointException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonStyle;
import org.lorakernels.safetensors.AtomicFile;
import org.lorakernels.training.EvaluationMetrics;
import org.lorakernels.training.StepMetrics;
import org.lorakernels.training.TrainingListener;

/**
 * Writes one JSON object a line: for a step {@code {"step", "loss", "grad_norm", "lr", "tokens"}},
 * tokens being those that the loss is the mean of; for an evaluation {@code {"step", "eval_loss",
 * "eval_tokens"}}. A number that is not finite is null. A line is in the file as soon as its step
 * is done. Where a run is resumed, lines of steps that are taken again are removed first.
 */
public final class MetricsWriter implements TrainingListener, AutoCloseable {
  static final String STEP = "step";
  static final String LOSS = "loss";
  static final String EVALUATION_LOSS = "eval_loss";

  private final Path file;
  private BufferedWriter writer;

  /**
   * A writer that opens its file when the run starts.
   *
   * @param file in a directory that is made if it does not exist
   */
  public MetricsWriter(Path file) {
    this.file = file;
  }

  @Override
  public void started(long firstStep, long totalSteps) {
    try {
      Path directory = file.toAbsolutePath().getParent();
      Files.createDirectories(directory);
      List<MetricsLine> kept = List.of();
      if (firstStep > 1 && Files.exists(file)) {
        kept = MetricsLine.read(file).stream().filter(line -> line.step() < firstStep).toList();
      }
      StringBuilder text = new StringBuilder();
      kept.forEach(line -> text.append(line.text()).append('\n'));
      AtomicFile.write(file, text.toString().getBytes(StandardCharsets.UTF_8));
      writer =
          Files.newBufferedWriter(
              file, StandardCharsets.UTF_8, StandardOpenOption.WRITE, StandardOpenOption.APPEND);
    } catch (IOException e) {
      throw failed(e);
    }
  }

  @Override
  public void step(StepMetrics metrics) {
    JsonObject line = new JsonObject().put(STEP, metrics.step());
    put(line, LOSS, metrics.loss());
    put(line, "grad_norm", metrics.gradNorm());
    put(line, "lr", metrics.learningRate());
    write(line.put("tokens", metrics.labelledTokens()));
  }

  @Override
  public void evaluated(EvaluationMetrics metrics) {
    JsonObject line = new JsonObject().put(STEP, metrics.step());
    put(line, EVALUATION_LOSS, metrics.loss());
    write(line.put("eval_tokens", metrics.labelledTokens()));
  }

  private static void put(JsonObject line, String name, double value) {
    if (Double.isFinite(value)) {
      line.put(name, value);
    } else {
      line.putNull(name);
    }
  }

  private void write(JsonObject line) {
    try {
      writer.write(JsonStyle.PYTHON.write(line));
      writer.write('\n');
      writer.flush();
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /** Closes the file; may be called again. */
  @Override
  public void close() {
    try {
      if (writer != null) {
        writer.close();
      }
    } catch (IOException e) {
      throw failed(e);
    }
  }

  private CheckpointException failed(IOException cause) {
    return new CheckpointException(
        file,
        "metrics: cannot be written: "
            + cause
            + "; check the free space and the permissions of the directory",
        cause);
  }
}
