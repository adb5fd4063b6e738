package org.lorakernels.json;

import java.util.Objects;
import java.util.regex.Pattern;

/**
 * A JSON number, kept as the text that stood in the document: {@code 1e-05} stays {@code 1e-05} and
 * {@code 10000.0} stays {@code 10000.0} when it is written again. Two numbers are equal when their
 * texts are.
 *
 * @param text the number in JSON's grammar
 */
public record JsonNumber(String text) implements JsonValue {
  private static final Pattern GRAMMAR =
      Pattern.compile("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?");

  /**
   * A number of the given text.
   *
   * @throws JsonException if {@code text} is not a JSON number
   */
  public JsonNumber {
    Objects.requireNonNull(text, "text");
    if (!GRAMMAR.matcher(text).matches()) {
      throw new JsonException("JSON number: expected a decimal number, but is \"" + text + "\"");
    }
  }

  /** The integer {@code value}. */
  public static JsonNumber of(long value) {
    return new JsonNumber(Long.toString(value));
  }

  /**
   * The number {@code value} in the text that Python's {@code repr(float)} gives it: the shortest
   * digits that read back as the same double, {@code 1e-05}, {@code 0.1}, {@code 16.0}.
   *
   * @throws JsonException if {@code value} is infinite or NaN, which JSON cannot express
   */
  public static JsonNumber of(double value) {
    if (!Double.isFinite(value)) {
      throw new JsonException("JSON number: expected a finite value, but is " + value);
    }
    return new JsonNumber(PythonFloat.repr(value));
  }

  /** Whether the text is an integer: no fraction, no exponent. */
  public boolean isInteger() {
    return text.chars().noneMatch(c -> c == '.' || c == 'e' || c == 'E');
  }

  /**
   * The value as an integer.
   *
   * @throws JsonException if the text has a fraction or an exponent, or exceeds 64 bits
   */
  public long longValue() {
    try {
      return Long.parseLong(text);
    } catch (NumberFormatException e) {
      throw new JsonException("expected an integer of at most 64 bits, but is " + text);
    }
  }

  /** The nearest double; infinite where the number exceeds the range of a double. */
  public double doubleValue() {
    return Double.parseDouble(text);
  }

  @Override
  public String kind() {
    return "a number";
  }

  @Override
  public String toString() {
    return text;
  }
}
