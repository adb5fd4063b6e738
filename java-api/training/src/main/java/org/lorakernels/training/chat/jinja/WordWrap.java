package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** The filter {@code wordwrap}: Python's textwrap, breaking at white space. */
final class WordWrap {
  private WordWrap() {}

  static Object filter(Object input, Arguments arguments) {
    int width = (int) Numbers.index(arguments.limit("wordwrap", 4).get(0, "width", 79L));
    boolean breakLong = arguments.truth(1, "break_long_words", true);
    Object given = arguments.get(2, "wrapstring", null);
    String newline = given == null ? "\n" : Values.requireText("wordwrap", given);
    boolean breakOnHyphens = arguments.truth(3, "break_on_hyphens", true);
    return StringSplits.splitLines(Values.text(input), false).stream()
        .map(line -> String.join(newline, wrap((String) line, width, breakLong, breakOnHyphens)))
        .collect(Collectors.joining(newline));
  }

  private static List<String> wrap(
      String line, int width, boolean breakLong, boolean breakOnHyphens) {
    List<String> lines = new ArrayList<>();
    StringBuilder current = new StringBuilder();
    for (String chunk : chunks(line, breakOnHyphens)) {
      String rest = chunk;
      if (current.length() + rest.length() > width && !rest.isBlank()) {
        if (rest.length() > width && breakLong) {
          int room = Math.max(width - current.length(), current.length() == 0 ? 1 : 0);
          current.append(rest, 0, room);
          rest = rest.substring(room);
        }
        flush(current, lines);
        while (rest.length() > width && breakLong) {
          lines.add(rest.substring(0, Math.max(1, width)));
          rest = rest.substring(Math.max(1, width));
        }
      } else if (rest.isBlank() && current.length() + rest.length() > width) {
        flush(current, lines);
        continue;
      }
      if (!(rest.isBlank() && current.length() == 0 && !lines.isEmpty())) {
        current.append(rest);
      }
    }
    flush(current, lines);
    return lines;
  }

  private static void flush(StringBuilder current, List<String> lines) {
    String line = PythonText.rstrip(current.toString());
    if (!line.isEmpty()) {
      lines.add(line);
    }
    current.setLength(0);
  }

  /** Words (cut after hyphens between letters) and the white space between them. */
  private static List<String> chunks(String line, boolean breakOnHyphens) {
    String pattern =
        breakOnHyphens
            ? "(?<=\\s)(?=\\S)|(?<=\\S)(?=\\s)|(?<=[\\w&&\\D]-)(?=[\\w&&\\D])"
            : "(?<=\\s)(?=\\S)|(?<=\\S)(?=\\s)";
    return line.isEmpty() ? List.of() : List.of(line.split(pattern));
  }
}
