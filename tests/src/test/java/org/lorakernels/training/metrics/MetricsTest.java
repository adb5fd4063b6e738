package org.lorakernels.training.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.CheckpointException;
import org.lorakernels.training.EvaluationMetrics;
import org.lorakernels.training.StepMetrics;

class MetricsTest {
  @TempDir private Path directory;

  private static void steps(MetricsWriter writer, long first, long last) {
    writer.started(first, 10);
    for (long step = first; step <= last; step++) {
      writer.step(new StepMetrics(step, 10, 0.1 * step, 4.0 / step, 0.5, 1e-3, 7, 8, 0.1));
    }
  }

  @Test
  void aLineAStepWithTheNamesThatWerePromised() throws IOException {
    Path file = directory.resolve("made/metrics.jsonl");
    try (MetricsWriter writer = new MetricsWriter(file)) {
      steps(writer, 1, 2);
      writer.evaluated(new EvaluationMetrics(2, 3.5, 9, 0.1));
      writer.step(new StepMetrics(3, 10, 1, Double.NaN, 0, 1e-3, 0, 8, 0.1));
      // In the file before the writer is closed, for a reader that follows the run.
      assertEquals(
          List.of(
              "{\"step\": 1, \"loss\": 4.0, \"grad_norm\": 0.5, \"lr\": 0.001, \"tokens\": 7}",
              "{\"step\": 2, \"loss\": 2.0, \"grad_norm\": 0.5, \"lr\": 0.001, \"tokens\": 7}",
              "{\"step\": 2, \"eval_loss\": 3.5, \"eval_tokens\": 9}",
              "{\"step\": 3, \"loss\": null, \"grad_norm\": 0.0, \"lr\": 0.001, \"tokens\": 0}"),
          Files.readAllLines(file));
    }
  }

  @Test
  void aResumedRunWritesEveryStepOnce() throws IOException {
    Path file = directory.resolve("metrics.jsonl");
    try (MetricsWriter writer = new MetricsWriter(file)) {
      steps(writer, 1, 7);
    }
    Files.writeString(file, "{\"step\": 8, \"lo", StandardOpenOption.APPEND); // killed here
    try (MetricsWriter writer = new MetricsWriter(file)) {
      steps(writer, 6, 10);
    }
    List<MetricsLine> lines = MetricsLine.read(file);
    for (int i = 0; i < 10; i++) {
      assertEquals(i + 1, lines.get(i).step());
    }
    assertEquals(10, lines.size());
    try (MetricsWriter writer = new MetricsWriter(file)) {
      steps(writer, 1, 1);
    }
    assertEquals(1, MetricsLine.read(file).size());
  }

  @Test
  void linesThatAreNotMetricsAreNamed() throws IOException {
    Path file = Files.writeString(directory.resolve("other"), "{\"step\": 1}\nnot json\n");
    CheckpointException failure =
        assertThrows(CheckpointException.class, () -> new MetricsWriter(file).started(2, 3));
    assertTrue(failure.getMessage().contains("line 2"), failure.getMessage());
    assertEquals("{\"step\": 1}\nnot json\n", Files.readString(file));
  }

  @Test
  void plotsAreDrawnWithoutADisplay() throws IOException {
    Path file = directory.resolve("metrics.jsonl");
    try (MetricsWriter writer = new MetricsWriter(file)) {
      steps(writer, 1, 10);
      writer.evaluated(new EvaluationMetrics(10, 1, 9, 0.1));
    }
    LossPlot plot = LossPlot.of(file, "a run");
    plot.writePng(directory.resolve("loss.png"));
    plot.writeSvg(directory.resolve("loss.svg"));
    assertEquals(900, ImageIO.read(directory.resolve("loss.png").toFile()).getWidth());
    String svg = Files.readString(directory.resolve("loss.svg"));
    assertTrue(svg.contains("<svg") && svg.strip().endsWith("</svg>"), "not an SVG document");
  }
}
