package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Python's {@code json.dumps}, which transformers' {@code tojson} is. */
final class JsonText {
  private final boolean ascii;
  private final String indent;
  private final String itemSeparator;
  private final String keySeparator;
  private final boolean sortKeys;
  private final StringBuilder out = new StringBuilder();

  private JsonText(
      boolean ascii, String indent, String itemSeparator, String keySeparator, boolean sortKeys) {
    this.ascii = ascii;
    this.indent = indent;
    this.itemSeparator = itemSeparator;
    this.keySeparator = keySeparator;
    this.sortKeys = sortKeys;
  }

  /**
   * The filter: {@code tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)}.
   */
  static String filter(Object value, Arguments arguments) {
    arguments.limit("tojson", 4);
    Object indent = arguments.get(1, "indent", null);
    Object separators = arguments.get(2, "separators", null);
    List<Object> pair =
        separators == null ? List.of(indent == null ? ", " : ",", ": ") : Values.list(separators);
    JsonText json =
        new JsonText(
            arguments.truth(0, "ensure_ascii", false),
            indent == null
                ? null
                : indent instanceof String text
                    ? text
                    : " ".repeat((int) Math.max(0, Numbers.index(indent))),
            Values.requireText("tojson", pair.get(0)),
            Values.requireText("tojson", pair.get(1)),
            arguments.truth(3, "sort_keys", false));
    json.write(value, 0);
    return json.out.toString();
  }

  private void write(Object value, int depth) {
    if (value == null) {
      out.append("null");
    } else if (value instanceof String text) {
      string(text);
    } else if (value instanceof Boolean bool) {
      out.append(bool ? "true" : "false");
    } else if (Numbers.isNumber(value)) {
      out.append(number(value));
    } else if (value instanceof List<?> list) {
      array(list, depth);
    } else if (value instanceof Tuple tuple) {
      array(tuple.items(), depth);
    } else if (value instanceof Map<?, ?> map) {
      object(map, depth);
    } else {
      throw JinjaException.type(
          "Object of type " + Values.typeName(value) + " is not JSON serializable");
    }
  }

  private static String number(Object value) {
    if (value instanceof Double real && !Double.isFinite(real)) {
      return real.isNaN() ? "NaN" : real > 0 ? "Infinity" : "-Infinity";
    }
    return Values.text(value);
  }

  private void array(List<?> items, int depth) {
    if (items.isEmpty()) {
      out.append("[]");
      return;
    }
    out.append('[');
    for (int i = 0; i < items.size(); i++) {
      separate(i, depth + 1);
      write(items.get(i), depth + 1);
    }
    newLine(depth);
    out.append(']');
  }

  private void object(Map<?, ?> map, int depth) {
    if (map.isEmpty()) {
      out.append("{}");
      return;
    }
    out.append('{');
    List<Map.Entry<?, ?>> entries = new ArrayList<>(map.entrySet());
    if (sortKeys) {
      entries.sort((a, b) -> Operators.order("<", a.getKey(), b.getKey()));
    }
    for (int i = 0; i < entries.size(); i++) {
      separate(i, depth + 1);
      string(key(entries.get(i).getKey()));
      out.append(keySeparator);
      write(entries.get(i).getValue(), depth + 1);
    }
    newLine(depth);
    out.append('}');
  }

  private static String key(Object key) {
    if (key instanceof String text) {
      return text;
    }
    if (key == null) {
      return "null";
    }
    if (key instanceof Boolean bool) {
      return bool ? "true" : "false";
    }
    if (Numbers.isNumber(key)) {
      return number(key);
    }
    throw JinjaException.type(
        "keys must be str, int, float, bool or None, not " + Values.typeName(key));
  }

  private void separate(int index, int depth) {
    if (index > 0) {
      out.append(itemSeparator);
    }
    newLine(depth);
  }

  private void newLine(int depth) {
    if (indent != null) {
      out.append('\n').append(indent.repeat(depth));
    }
  }

  private void string(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\f' -> out.append("\\f");
        case '\b' -> out.append("\\b");
        default -> {
          if (c < 0x20 || (ascii && c > 0x7e)) {
            out.append(String.format("\\u%04x", (int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
