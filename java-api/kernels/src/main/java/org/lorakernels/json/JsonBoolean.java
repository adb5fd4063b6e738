package org.lorakernels.json;

/** The JSON values {@code true} and {@code false}. */
public enum JsonBoolean implements JsonValue {
  /** The JSON value {@code true}. */
  TRUE,
  /** The JSON value {@code false}. */
  FALSE;

  /** The JSON value of {@code value}. */
  public static JsonBoolean of(boolean value) {
    return value ? TRUE : FALSE;
  }

  /** The Java value. */
  public boolean value() {
    return this == TRUE;
  }

  @Override
  public String kind() {
    return "a boolean";
  }

  @Override
  public String toString() {
    return value() ? "true" : "false";
  }
}
