package org.lorakernels.golden;

import java.util.List;
import java.util.Map;

/**
 * One entry of a golden file's case list: what the library that wrote the vectors was asked to do.
 */
public record GoldenCase(Map<String, Object> fields) {

  public String id() {
    return text("id");
  }

  public String text(String name) {
    return (String) required(name);
  }

  public int integer(String name) {
    return (int) number(name);
  }

  public double number(String name) {
    return (Double) required(name);
  }

  public int integer(String name, int otherwise) {
    return fields.get(name) == null ? otherwise : integer(name);
  }

  /** False where the case does not say. */
  public boolean flag(String name) {
    return Boolean.TRUE.equals(fields.get(name));
  }

  public long[] dimensions(String name) {
    return numbers(name).stream().mapToLong(Double::longValue).toArray();
  }

  public List<Double> numbers(String name) {
    return ((List<?>) required(name)).stream().map(Double.class::cast).toList();
  }

  public List<String> texts(String name) {
    return ((List<?>) required(name)).stream().map(String.class::cast).toList();
  }

  public boolean has(String name) {
    return fields.containsKey(name);
  }

  private Object required(String name) {
    Object value = fields.get(name);
    if (value == null)
      throw new IllegalArgumentException("the golden case " + fields + " lacks " + name);
    return value;
  }
}
