package org.lorakernels.json;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the reader accepts, what it refuses and with which message. */
class JsonReaderTest {

  @Test
  void keepsTheOrderOfMembersAndTheTextOfNumbers() {
    String document =
        "{\"z\": 1e-05, \"a\": 10000.0, \"m\": [-0, 1E+2, true, false, null, {}, []]}";
    JsonValue value = JsonReader.parse(" \t\r\n" + document + "\n");
    assertEquals(
        List.of("z", "a", "m"), List.copyOf(((JsonObject) value).names()), "order of the members");
    assertEquals(document, value.toString());
  }

  @Test
  void decodesEscapesAndUtf8() {
    JsonObject object =
        (JsonObject)
            JsonReader.parse(
                "{\"s\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00 é漢😀\",\"é\":\"\"}");
    assertEquals("\"\\/\b\f\n\r\té😀 é漢😀", object.string("s"));
    assertEquals("", object.string("é"));
  }

  @Test
  void convertsMembers() {
    JsonObject object =
        (JsonObject)
            JsonReader.parse("{\"i\":7,\"d\":2.5,\"b\":true,\"n\":null,\"a\":[1,2],\"s\":[\"x\"]}");
    assertEquals(7, object.integer("i"));
    assertEquals(2.5, object.number("d"));
    assertTrue(object.bool("b"));
    assertArrayEquals(new long[] {1, 2}, object.array("a").longs());
    assertEquals(List.of("x"), object.array("s").strings());
    assertTrue(object.has("n") && object.findString("n").isEmpty(), "null counts as absent");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "missing | \"missing\": expected an integer, but is missing",
        "n       | \"n\": expected an integer, but is missing",
        "s       | \"s\": expected an integer, but is a string",
        "d       | \"d\": expected an integer of at most 64 bits, but is 2.5",
        "big     | \"big\": expected an integer of at most 64 bits, but is 9223372036854775808",
      })
  void namesTheMemberThatDoesNotFit(String member, String message) {
    JsonObject object =
        (JsonObject)
            JsonReader.parse("{\"n\":null,\"s\":\"7\",\"d\":2.5,\"big\":9223372036854775808}");
    JsonException e = assertThrows(JsonException.class, () -> object.integer(member));
    assertEquals(message, e.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        " ",
        "{",
        "}",
        "[",
        "[1,]",
        "[1 2]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "01",
        "-",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "tru",
        "nul",
        "'a'",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a\nb\"",
        "\"\t\"",
        "1 1",
        "[1]]",
        "// c\n1",
        "\uFEFF1",
        "\"\\u١٢٣٤\""
      })
  void refusesWhatIsNotJson(String document) {
    JsonException e = assertThrows(JsonException.class, () -> JsonReader.parse(document));
    assertTrue(e.getMessage().startsWith("JSON line "), e.getMessage());
  }

  @Test
  void saysWhere() {
    JsonException e =
        assertThrows(JsonException.class, () -> JsonReader.parse("{\n  \"a\": 1,\n  \"b\": ?\n}"));
    assertEquals("JSON line 3, byte 8: expected a value, but there is '?'", e.getMessage());
  }

  @Test
  void refusesDuplicateNames() {
    JsonException e =
        assertThrows(JsonException.class, () -> JsonReader.parse("{\"a\":1,\"\\u0061\":2}"));
    assertEquals("JSON line 1, byte 8: the name \"a\" occurs twice in one object", e.getMessage());
  }

  @Test
  void refusesDepthBeyondItsLimit() {
    int limit = JsonReader.MAX_DEPTH;
    JsonReader.parse("[".repeat(limit) + "]".repeat(limit));
    JsonException e =
        assertThrows(JsonException.class, () -> JsonReader.parse("[".repeat(1_000_000)));
    assertTrue(e.getMessage().contains("at most 64 containers"), e.getMessage());
  }

  @Test
  void refusesWhatIsNotUtf8() {
    byte[][] malformed = {
      {'"', (byte) 0xff, '"'}, // no lead byte
      {'"', (byte) 0xc3, '"'}, // cut short
      {'"', (byte) 0xc0, (byte) 0xaf, '"'}, // overlong
      {'"', (byte) 0xed, (byte) 0xa0, (byte) 0x80, '"'}, // a surrogate
    };
    for (byte[] document : malformed) {
      JsonException e = assertThrows(JsonException.class, () -> JsonReader.parse(document));
      assertTrue(e.getMessage().contains("expected UTF-8"), e.getMessage());
    }
  }
}
