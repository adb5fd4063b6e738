package org.lorakernels.json;

import java.util.Objects;

/**
 * A JSON string.
 *
 * @param value the characters, without quotes or escapes; not null
 */
public record JsonString(String value) implements JsonValue {

  /** Wraps {@code value}, which is not null. */
  public JsonString {
    Objects.requireNonNull(value, "value");
  }

  @Override
  public String kind() {
    return "a string";
  }

  @Override
  public String toString() {
    return JsonStyle.PYTHON.write(this);
  }
}
