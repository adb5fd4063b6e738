package org.lorakernels.cli;

import java.awt.Color;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.HeatMapChart;
import org.knowm.xchart.HeatMapChartBuilder;
import org.lorakernels.CheckpointException;
import org.lorakernels.MergeKernels.OpposingSigns;
import org.lorakernels.json.JsonObject;
import org.lorakernels.safetensors.AtomicFile;

/** The share of opposing signs by layer and kind of weight: as a table and as a heat map. */
final class SignMap {
  private static final Pattern LAYER = Pattern.compile("\\.(\\d+)\\.");
  private static final OpposingSigns NONE = new OpposingSigns(0, 0);

  /** By layer, then by kind; weights outside of layers have the layer "-". */
  private final Map<String, Map<String, OpposingSigns>> layers = new LinkedHashMap<>();

  private final Set<String> kinds = new LinkedHashSet<>();

  void add(String weight, OpposingSigns signs) {
    Matcher layer = LAYER.matcher(weight);
    String kind = Layers.type(weight);
    kinds.add(kind);
    layers
        .computeIfAbsent(layer.find() ? layer.group(1) : "-", number -> new LinkedHashMap<>())
        .merge(kind, signs, OpposingSigns::plus);
  }

  private static OpposingSigns sum(Map<String, OpposingSigns> layer) {
    return layer.values().stream().reduce(NONE, OpposingSigns::plus);
  }

  Table table() {
    Table table = new Table("layer", "weights", "opposing signs");
    layers.forEach(
        (number, layer) ->
            table.row(number, String.valueOf(layer.size()), Units.percent(sum(layer).share())));
    return table;
  }

  JsonObject json() {
    JsonObject json = new JsonObject();
    layers.forEach((number, layer) -> json.put(number, sum(layer).share()));
    return json;
  }

  /** Writes a PNG file, atomically; layers upwards, kinds of weights to the right. */
  void writePng(Path file) {
    List<String> columns = new ArrayList<>(kinds);
    List<String> rows = new ArrayList<>(layers.keySet());
    List<Number[]> cells = new ArrayList<>();
    for (int y = 0; y < rows.size(); y++) {
      Map<String, OpposingSigns> layer = layers.get(rows.get(y));
      for (int x = 0; x < columns.size(); x++) {
        cells.add(new Number[] {x, y, 100 * layer.getOrDefault(columns.get(x), NONE).share()});
      }
    }
    HeatMapChart chart =
        new HeatMapChartBuilder()
            .width(240 + 90 * columns.size())
            .height(340 + 18 * rows.size())
            .title("opposing signs, %")
            .xAxisTitle("weight")
            .yAxisTitle("layer")
            .build();
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    chart.getStyler().setMin(0).setMax(100).setShowValue(true).setHeatMapValueDecimalPattern("0");
    chart.addSeries("opposing signs", columns, rows, cells);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try {
      BitmapEncoder.saveBitmap(chart, bytes, BitmapFormat.PNG);
    } catch (IOException e) {
      throw new CheckpointException(file, "heat map: cannot be drawn: " + e.getMessage(), e);
    }
    AtomicFile.write(file, bytes.toByteArray());
  }
}
