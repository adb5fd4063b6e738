package org.lorakernels.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A reader for the JSON of the golden files, sharing nothing with the product's: objects become
 * maps, arrays lists, numbers doubles. It trusts its input, which is part of this repository.
 */
final class GoldenJson {
  private final String text;
  private int at;

  private GoldenJson(String text) {
    this.text = text;
  }

  static Object parse(String text) {
    GoldenJson reader = new GoldenJson(text);
    Object value = reader.value();
    reader.skipSpace();
    if (reader.at != text.length()) throw reader.malformed();
    return value;
  }

  private Object value() {
    skipSpace();
    switch (text.charAt(at)) {
      case '{':
        return object();
      case '[':
        return array();
      case '"':
        return string();
      default:
        return literal();
    }
  }

  private Map<String, Object> object() {
    Map<String, Object> members = new LinkedHashMap<>();
    expect('{');
    while (!accept('}')) {
      if (!members.isEmpty()) expect(',');
      skipSpace();
      String name = string();
      expect(':');
      members.put(name, value());
    }
    return members;
  }

  private List<Object> array() {
    List<Object> items = new ArrayList<>();
    expect('[');
    while (!accept(']')) {
      if (!items.isEmpty()) expect(',');
      items.add(value());
    }
    return items;
  }

  private String string() {
    StringBuilder out = new StringBuilder();
    expect('"');
    for (char c = text.charAt(at++); c != '"'; c = text.charAt(at++))
      out.append(c == '\\' ? escaped() : c);
    return out.toString();
  }

  private char escaped() {
    char c = text.charAt(at++);
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'u':
        at += 4;
        return (char) Integer.parseInt(text.substring(at - 4, at), 16);
      default:
        return c;
    }
  }

  private Object literal() {
    int from = at;
    while (at < text.length() && ",]} \n\r\t".indexOf(text.charAt(at)) < 0) at++;
    String word = text.substring(from, at);
    switch (word) {
      case "true":
        return true;
      case "false":
        return false;
      case "null":
        return null;
      default:
        return Double.valueOf(word);
    }
  }

  private void skipSpace() {
    while (at < text.length() && Character.isWhitespace(text.charAt(at))) at++;
  }

  private boolean accept(char c) {
    skipSpace();
    if (text.charAt(at) != c) return false;
    at++;
    return true;
  }

  private void expect(char c) {
    if (!accept(c)) throw malformed();
  }

  private IllegalArgumentException malformed() {
    return new IllegalArgumentException("malformed JSON at " + at);
  }
}
