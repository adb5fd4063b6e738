package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.LinkedList;
import java.util.List;

/** The methods of Python's str that take it apart. */
final class StringSplits {
  private StringSplits() {}

  static List<Object> split(String s, Arguments arguments) {
    Object separator = arguments.get(0, "sep", null);
    long most = Numbers.index(arguments.get(1, "maxsplit", -1L));
    List<Object> parts = new ArrayList<>();
    String rest = separator == null ? PythonText.lstrip(s) : s;
    if (separator == null) {
      while (!rest.isEmpty() && (most < 0 || parts.size() < most)) {
        int end = 0;
        while (end < rest.length() && !PythonText.isSpace(rest.charAt(end))) {
          end++;
        }
        parts.add(rest.substring(0, end));
        rest = PythonText.lstrip(rest.substring(end));
      }
      if (!rest.isEmpty()) {
        parts.add(rest); // what maxsplit left
      }
      return parts;
    }
    String by = nonEmpty(Values.requireText("split", separator));
    int at;
    while ((most < 0 || parts.size() < most) && (at = rest.indexOf(by)) >= 0) {
      parts.add(rest.substring(0, at));
      rest = rest.substring(at + by.length());
    }
    parts.add(rest);
    return parts;
  }

  static List<Object> rsplit(String s, Arguments arguments) {
    Object separator = arguments.get(0, "sep", null);
    long most = Numbers.index(arguments.get(1, "maxsplit", -1L));
    LinkedList<Object> parts = new LinkedList<>();
    String rest = separator == null ? PythonText.rstrip(s) : s;
    if (separator == null) {
      while (!rest.isEmpty() && (most < 0 || parts.size() < most)) {
        int start = rest.length();
        while (start > 0 && !PythonText.isSpace(rest.charAt(start - 1))) {
          start--;
        }
        parts.addFirst(rest.substring(start));
        rest = PythonText.rstrip(rest.substring(0, start));
      }
      if (!rest.isEmpty()) {
        parts.addFirst(rest);
      }
      return new ArrayList<>(parts);
    }
    String by = nonEmpty(Values.requireText("rsplit", separator));
    int at;
    while ((most < 0 || parts.size() < most) && (at = rest.lastIndexOf(by)) >= 0) {
      parts.addFirst(rest.substring(at + by.length()));
      rest = rest.substring(0, at);
    }
    parts.addFirst(rest);
    return new ArrayList<>(parts);
  }

  static String nonEmpty(String separator) {
    if (separator.isEmpty()) {
      throw JinjaException.value("empty separator");
    }
    return separator;
  }

  static String separator(Arguments arguments, String name) {
    return nonEmpty(arguments.limit(name, 1).text(0, name, "sep"));
  }

  static Tuple partition(String s, int at, String by, boolean first) {
    if (at < 0) {
      return first ? Tuple.of(s, "", "") : Tuple.of("", "", s);
    }
    return Tuple.of(s.substring(0, at), by, s.substring(at + by.length()));
  }

  static List<Object> splitLines(String s, boolean keepEnds) {
    List<Object> lines = new ArrayList<>();
    int start = 0;
    for (int i = 0; i < s.length(); i++) {
      char c = s.charAt(i);
      boolean ends =
          (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
      if (!ends) {
        continue;
      }
      int end = c == '\r' && i + 1 < s.length() && s.charAt(i + 1) == '\n' ? i + 2 : i + 1;
      lines.add(s.substring(start, keepEnds ? end : i));
      start = end;
      i = end - 1;
    }
    if (start < s.length()) {
      lines.add(s.substring(start));
    }
    return lines;
  }
}
