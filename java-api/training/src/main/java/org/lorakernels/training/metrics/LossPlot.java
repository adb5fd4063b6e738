package org.lorakernels.training.metrics;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.List;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.VectorGraphicsEncoder;
import org.knowm.xchart.VectorGraphicsEncoder.VectorGraphicsFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.UnsupportedException;
import org.lorakernels.safetensors.AtomicFile;

/**
 * The loss of a run over its steps, with an exponential moving average and the evaluations. Drawn
 * without a display.
 */
public final class LossPlot {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 500;

  /** Weight of the past in the average, as TensorBoard's slider at 0.9. */
  private static final double SMOOTHING = 0.9;

  private final XYChart chart;

  private LossPlot(XYChart chart) {
    this.chart = chart;
  }

  /**
   * Draws a file of metrics.
   *
   * @param metrics as {@link MetricsWriter} writes it
   * @param title above the plot
   * @throws InvalidArgumentException if the file has no loss
   */
  public static LossPlot of(Path metrics, String title) {
    List<MetricsLine> lines = MetricsLine.read(metrics);
    double[][] losses = points(lines, MetricsWriter.LOSS);
    if (losses[0].length == 0) {
      throw new InvalidArgumentException(
          "LossPlot: " + metrics + " must have a loss, but has none");
    }
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(title)
            .xAxisTitle("step")
            .yAxisTitle("loss")
            .build();
    chart.getStyler().setXAxisDecimalPattern("#").setLegendPosition(LegendPosition.InsideNE);
    add(chart, "loss", losses);
    add(chart, "smoothed", new double[][] {losses[0], smoothed(losses[1])});
    double[][] evaluations = points(lines, MetricsWriter.EVALUATION_LOSS);
    if (evaluations[0].length > 0) {
      add(chart, "evaluation", evaluations);
      chart.getSeriesMap().get("evaluation").setMarker(SeriesMarkers.CIRCLE);
    }
    return new LossPlot(chart);
  }

  private static void add(XYChart chart, String name, double[][] points) {
    chart.addSeries(name, points[0], points[1]).setMarker(SeriesMarkers.NONE);
  }

  /** Steps and values of the lines that have one of that name. */
  private static double[][] points(List<MetricsLine> lines, String name) {
    List<MetricsLine> having =
        lines.stream().filter(line -> line.number(name).isPresent()).toList();
    return new double[][] {
      having.stream().mapToDouble(MetricsLine::step).toArray(),
      having.stream().mapToDouble(line -> line.number(name).getAsDouble()).toArray()
    };
  }

  /** Bias-corrected, so that the average begins at the first value. */
  private static double[] smoothed(double[] values) {
    double[] result = new double[values.length];
    double average = 0;
    double weight = 0;
    for (int i = 0; i < values.length; i++) {
      average = SMOOTHING * average + (1 - SMOOTHING) * values[i];
      weight = SMOOTHING * weight + (1 - SMOOTHING);
      result[i] = average / weight;
    }
    return result;
  }

  /** Writes a PNG file, atomically. */
  public void writePng(Path file) {
    write(file, out -> BitmapEncoder.saveBitmap(chart, out, BitmapFormat.PNG));
  }

  /** Writes an SVG file, atomically. */
  public void writeSvg(Path file) {
    write(
        file, out -> VectorGraphicsEncoder.saveVectorGraphic(chart, out, VectorGraphicsFormat.SVG));
  }

  private interface Encoder {
    void encode(OutputStream out) throws IOException;
  }

  private static void write(Path file, Encoder encoder) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try {
      encoder.encode(bytes);
    } catch (IOException e) {
      throw new CheckpointException(file, "plot: cannot be drawn: " + e.getMessage(), e);
    } catch (RuntimeException | LinkageError | InternalError e) {
      // How AWT reports that there is no font, or not even the library that reads them.
      throw new UnsupportedException(
          "plot: cannot be drawn (" + e + "); install fontconfig and fonts-dejavu-core");
    }
    AtomicFile.write(file, bytes.toByteArray());
  }
}
