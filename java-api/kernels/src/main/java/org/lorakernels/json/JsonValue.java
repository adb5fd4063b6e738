package org.lorakernels.json;

/**
 * A JSON value. {@link JsonObject} and {@link JsonArray} are mutable containers, the other kinds
 * are immutable. {@link #toString()} prints the value on one line as Python's {@code json.dumps}
 * does.
 */
public sealed interface JsonValue
    permits JsonObject, JsonArray, JsonString, JsonNumber, JsonBoolean, JsonNull {

  /** What this value is, for messages: "an object", "a number", ... */
  String kind();
}
