package org.lorakernels.json;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * How a value is printed. The styles reproduce the two writers whose files are read and written
 * here.
 *
 * <table>
 * <caption>Styles</caption>
 * <tr><td>{@link #PYTHON}</td><td>{@code json.dumps(value)}</td></tr>
 * <tr><td>{@link #PYTHON_INDENTED}</td><td>{@code json.dumps(value, indent=2, sort_keys=True)}</td></tr>
 * <tr><td>{@link #COMPACT}</td><td>{@code serde_json::to_string(value)}</td></tr>
 * </table>
 */
public enum JsonStyle {
  /** One line, a blank after commas and colons, characters beyond ASCII escaped. */
  PYTHON(", ", ": ", 0, false, true),
  /** Indented by two, members sorted by name, characters beyond ASCII escaped, no final newline. */
  PYTHON_INDENTED(",", ": ", 2, true, true),
  /** One line without blanks, characters beyond ASCII as they are. */
  COMPACT(",", ":", 0, false, false);

  /**
   * The order of strings by code point, in which Python sorts keys and Rust sorts names. It differs
   * from {@link String#compareTo} where one string has a character beyond the basic plane.
   */
  public static final Comparator<String> BY_CODE_POINT = JsonStyle::compareCodePoints;

  private final String itemSeparator;
  private final String keySeparator;
  private final int indent;
  private final boolean sorted;
  private final boolean asciiOnly;

  JsonStyle(
      String itemSeparator, String keySeparator, int indent, boolean sorted, boolean asciiOnly) {
    this.itemSeparator = itemSeparator;
    this.keySeparator = keySeparator;
    this.indent = indent;
    this.sorted = sorted;
    this.asciiOnly = asciiOnly;
  }

  /** The text of {@code value} in this style. */
  public String write(JsonValue value) {
    StringBuilder out = new StringBuilder();
    write(value, 0, out);
    return out.toString();
  }

  private void write(JsonValue value, int depth, StringBuilder out) {
    if (value instanceof JsonObject object) {
      writeMembers(object, depth, out);
    } else if (value instanceof JsonArray array) {
      writeItems(array, depth, out);
    } else if (value instanceof JsonString string) {
      writeString(string.value(), out);
    } else {
      out.append(value); // numbers, booleans and null print themselves
    }
  }

  private void writeMembers(JsonObject object, int depth, StringBuilder out) {
    List<Map.Entry<String, JsonValue>> members = new ArrayList<>(object.members().entrySet());
    if (sorted) {
      members.sort(Map.Entry.comparingByKey(BY_CODE_POINT));
    }
    out.append('{');
    Iterator<Map.Entry<String, JsonValue>> rest = members.iterator();
    while (rest.hasNext()) {
      Map.Entry<String, JsonValue> member = rest.next();
      newLine(depth + 1, out);
      writeString(member.getKey(), out);
      out.append(keySeparator);
      write(member.getValue(), depth + 1, out);
      out.append(rest.hasNext() ? itemSeparator : "");
    }
    if (!members.isEmpty()) {
      newLine(depth, out);
    }
    out.append('}');
  }

  private void writeItems(JsonArray array, int depth, StringBuilder out) {
    out.append('[');
    Iterator<JsonValue> rest = array.iterator();
    while (rest.hasNext()) {
      newLine(depth + 1, out);
      write(rest.next(), depth + 1, out);
      out.append(rest.hasNext() ? itemSeparator : "");
    }
    if (!array.isEmpty()) {
      newLine(depth, out);
    }
    out.append(']');
  }

  private void newLine(int depth, StringBuilder out) {
    if (indent > 0) {
      out.append('\n').append(" ".repeat(indent * depth));
    }
  }

  private void writeString(String string, StringBuilder out) {
    out.append('"');
    for (int i = 0; i < string.length(); i++) {
      writeCharacter(string.charAt(i), out);
    }
    out.append('"');
  }

  private void writeCharacter(char c, StringBuilder out) {
    switch (c) {
      case '"' -> out.append("\\\"");
      case '\\' -> out.append("\\\\");
      case '\b' -> out.append("\\b");
      case '\f' -> out.append("\\f");
      case '\n' -> out.append("\\n");
      case '\r' -> out.append("\\r");
      case '\t' -> out.append("\\t");
      default -> {
        if (c < ' ' || (asciiOnly && c > '~')) {
          out.append(String.format("\\u%04x", (int) c));
        } else {
          out.append(c);
        }
      }
    }
  }

  private static int compareCodePoints(String a, String b) {
    int common = Math.min(a.length(), b.length());
    for (int i = 0; i < common; i++) {
      if (a.charAt(i) != b.charAt(i)) {
        return Integer.compare(rank(a.charAt(i)), rank(b.charAt(i)));
      }
    }
    return Integer.compare(a.length(), b.length());
  }

  /** Surrogates stand for characters beyond all others. */
  private static int rank(char c) {
    return Character.isSurrogate(c) ? c + Character.MAX_VALUE : c;
  }
}
