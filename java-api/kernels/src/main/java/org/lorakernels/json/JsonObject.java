package org.lorakernels.json;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/**
 * A JSON object: members in the order in which they were read or added.
 *
 * <p>Members are asked for in three ways: {@link #get} (the value or null), {@code string(name)},
 * {@code integer(name)}, ... (required, of that kind, otherwise a {@link JsonException} that names
 * the member), and {@code findString(name)}, ... (absent or JSON {@code null} gives an empty
 * optional; another kind is an error).
 */
public final class JsonObject implements JsonValue {
  private final Map<String, JsonValue> members = new LinkedHashMap<>();

  /** An object without members. */
  public JsonObject() {}

  /** A copy of {@code other} that shares its values but not its list of members. */
  public JsonObject(JsonObject other) {
    members.putAll(other.members);
  }

  /** Sets a member, in its old place if it exists, otherwise at the end; returns this object. */
  public JsonObject put(String name, JsonValue value) {
    members.put(Objects.requireNonNull(name, "name"), Objects.requireNonNull(value, name));
    return this;
  }

  /** Sets a member to a string, or to JSON {@code null} if {@code value} is null. */
  public JsonObject put(String name, String value) {
    return put(name, value == null ? JsonNull.NULL : new JsonString(value));
  }

  /** Sets a member to an integer. */
  public JsonObject put(String name, long value) {
    return put(name, JsonNumber.of(value));
  }

  /** Sets a member to a finite number, printed as Python prints a float. */
  public JsonObject put(String name, double value) {
    return put(name, JsonNumber.of(value));
  }

  /** Sets a member to a boolean. */
  public JsonObject put(String name, boolean value) {
    return put(name, JsonBoolean.of(value));
  }

  /** Sets a member to JSON {@code null}. */
  public JsonObject putNull(String name) {
    return put(name, JsonNull.NULL);
  }

  /** Removes a member, if it exists; returns this object. */
  public JsonObject remove(String name) {
    members.remove(name);
    return this;
  }

  /** The number of members. */
  public int size() {
    return members.size();
  }

  /** Whether there are no members. */
  public boolean isEmpty() {
    return members.isEmpty();
  }

  /** Whether the member exists, be it JSON {@code null}. */
  public boolean has(String name) {
    return members.containsKey(name);
  }

  /** Names in order; a read-only view. */
  public Set<String> names() {
    return Collections.unmodifiableSet(members.keySet());
  }

  /** Names and values in order; a read-only view. */
  public Map<String, JsonValue> members() {
    return Collections.unmodifiableMap(members);
  }

  /** The value of a member, or null where it does not exist. */
  public JsonValue get(String name) {
    return members.get(name);
  }

  /** The string of a required member. */
  public String string(String name) {
    return require(name, findString(name), "a string");
  }

  /** The integer of a required member. */
  public long integer(String name) {
    return require(name, findInteger(name), "an integer");
  }

  /** The nearest double to the number of a required member. */
  public double number(String name) {
    return require(name, findNumber(name), "a number");
  }

  /** The boolean of a required member. */
  public boolean bool(String name) {
    return require(name, findBool(name), "a boolean");
  }

  /** The object of a required member. */
  public JsonObject object(String name) {
    return require(name, findObject(name), "an object");
  }

  /** The array of a required member. */
  public JsonArray array(String name) {
    return require(name, findArray(name), "an array");
  }

  /** The string of a member, empty where it is absent or null. */
  public Optional<String> findString(String name) {
    return find(name, JsonString.class, "a string").map(JsonString::value);
  }

  /** The integer of a member, empty where it is absent or null. */
  public Optional<Long> findInteger(String name) {
    return find(name, JsonNumber.class, "an integer")
        .map(number -> naming(name, number, JsonNumber::longValue));
  }

  /** The nearest double to the number of a member, empty where it is absent or null. */
  public Optional<Double> findNumber(String name) {
    return find(name, JsonNumber.class, "a number").map(JsonNumber::doubleValue);
  }

  /** The boolean of a member, empty where it is absent or null. */
  public Optional<Boolean> findBool(String name) {
    return find(name, JsonBoolean.class, "a boolean").map(JsonBoolean::value);
  }

  /** The object of a member, empty where it is absent or null. */
  public Optional<JsonObject> findObject(String name) {
    return find(name, JsonObject.class, "an object");
  }

  /** The array of a member, empty where it is absent or null. */
  public Optional<JsonArray> findArray(String name) {
    return find(name, JsonArray.class, "an array");
  }

  private <T extends JsonValue> Optional<T> find(String name, Class<T> type, String expected) {
    JsonValue value = members.get(name);
    if (value == null || value == JsonNull.NULL) {
      return Optional.empty();
    }
    if (!type.isInstance(value)) {
      throw new JsonException(
          "\"" + name + "\": expected " + expected + ", but is " + value.kind());
    }
    return Optional.of(type.cast(value));
  }

  private static <T> T require(String name, Optional<T> found, String expected) {
    return found.orElseThrow(
        () -> new JsonException("\"" + name + "\": expected " + expected + ", but is missing"));
  }

  private static <T, R> R naming(String name, T value, Function<T, R> conversion) {
    try {
      return conversion.apply(value);
    } catch (JsonException e) {
      throw new JsonException("\"" + name + "\": " + e.getMessage());
    }
  }

  @Override
  public String kind() {
    return "an object";
  }

  /** Whether {@code other} has the same members; their order does not matter. */
  @Override
  public boolean equals(Object other) {
    return other instanceof JsonObject object && members.equals(object.members);
  }

  @Override
  public int hashCode() {
    return members.hashCode();
  }

  @Override
  public String toString() {
    return JsonStyle.PYTHON.write(this);
  }
}
