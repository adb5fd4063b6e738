package org.lorakernels.json;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;

/** A JSON array: a growing list of values. */
public final class JsonArray implements JsonValue, Iterable<JsonValue> {
  private final List<JsonValue> values = new ArrayList<>();

  /** An array of the given strings. */
  public static JsonArray ofStrings(Iterable<String> values) {
    JsonArray array = new JsonArray();
    values.forEach(array::add);
    return array;
  }

  /** An array of the given integers. */
  public static JsonArray ofLongs(long... values) {
    JsonArray array = new JsonArray();
    for (long value : values) {
      array.add(JsonNumber.of(value));
    }
    return array;
  }

  /** Appends {@code value}, which is not null; returns this array. */
  public JsonArray add(JsonValue value) {
    values.add(Objects.requireNonNull(value, "value"));
    return this;
  }

  /** Appends a string, which is not null; returns this array. */
  public JsonArray add(String value) {
    return add(new JsonString(value));
  }

  /** The number of values. */
  public int size() {
    return values.size();
  }

  /** Whether there are no values. */
  public boolean isEmpty() {
    return values.isEmpty();
  }

  /** The value at {@code index}, counted from 0. */
  public JsonValue get(int index) {
    return values.get(index);
  }

  /**
   * The values as strings.
   *
   * @throws JsonException if one is not a string
   */
  public List<String> strings() {
    List<String> strings = new ArrayList<>(values.size());
    for (JsonValue value : values) {
      if (!(value instanceof JsonString string)) {
        throw new JsonException("expected an array of strings, but it holds " + value.kind());
      }
      strings.add(string.value());
    }
    return strings;
  }

  /**
   * The values as integers.
   *
   * @throws JsonException if one is not an integer of at most 64 bits
   */
  public long[] longs() {
    long[] longs = new long[values.size()];
    for (int i = 0; i < longs.length; i++) {
      if (!(values.get(i) instanceof JsonNumber number)) {
        throw new JsonException("expected an array of integers, but it holds " + get(i).kind());
      }
      longs[i] = number.longValue();
    }
    return longs;
  }

  @Override
  public Iterator<JsonValue> iterator() {
    return Collections.unmodifiableList(values).iterator();
  }

  @Override
  public String kind() {
    return "an array";
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof JsonArray array && values.equals(array.values);
  }

  @Override
  public int hashCode() {
    return values.hashCode();
  }

  @Override
  public String toString() {
    return JsonStyle.PYTHON.write(this);
  }
}
