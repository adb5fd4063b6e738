package org.lorakernels.training.metrics;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import org.lorakernels.CheckpointException;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;

/**
 * A line of a file of metrics.
 *
 * @param step its step
 * @param text the line, without its end
 * @param json its content
 */
record MetricsLine(long step, String text, JsonObject json) {
  /**
   * The lines of a file. A last line without an end was cut off with the process that wrote it, and
   * is left out.
   *
   * @throws CheckpointException if the file cannot be read, or a line is not an object with a step
   */
  static List<MetricsLine> read(Path file) {
    String content;
    try {
      content = Files.readString(file);
    } catch (IOException e) {
      throw new CheckpointException(file, "metrics: cannot be read: " + e.getMessage(), e);
    }
    List<MetricsLine> lines = new ArrayList<>();
    int from = 0;
    for (int end = content.indexOf('\n'); end >= 0; end = content.indexOf('\n', from)) {
      String text = content.substring(from, end);
      from = end + 1;
      try {
        JsonObject json = JsonReader.parseObject(text.getBytes(StandardCharsets.UTF_8));
        lines.add(new MetricsLine(json.integer(MetricsWriter.STEP), text, json));
      } catch (JsonException e) {
        throw new CheckpointException(
            file,
            "metrics: line " + (lines.size() + 1) + ": " + e.getMessage() + "; name another file",
            e);
      }
    }
    return lines;
  }

  /** A number of the line; empty where there is none of that name, or it is null. */
  OptionalDouble number(String name) {
    return json.findNumber(name).map(OptionalDouble::of).orElseGet(OptionalDouble::empty);
  }
}
