package org.lorakernels.json;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The three styles against texts printed by CPython 3.11's json and by serde_json. */
class JsonStyleTest {

  private static JsonObject sample() {
    return new JsonObject()
        .put("b", new JsonArray().add("x").add(JsonNumber.of(2)).add(JsonNull.NULL))
        .put("a", new JsonObject().put("t", true).put("d", 1e-5))
        .put("e", new JsonObject())
        .put("f", new JsonArray())
        .putNull("n");
  }

  @Test
  void printsOneLineAsJsonDumps() {
    assertEquals(
        "{\"b\": [\"x\", 2, null], \"a\": {\"t\": true, \"d\": 1e-05}, \"e\": {}, \"f\": [], \"n\":"
            + " null}",
        JsonStyle.PYTHON.write(sample()));
  }

  @Test
  void printsIndentedAndSortedAsJsonDumps() {
    assertEquals(
        """
        {
          "a": {
            "d": 1e-05,
            "t": true
          },
          "b": [
            "x",
            2,
            null
          ],
          "e": {},
          "f": [],
          "n": null
        }\
        """,
        JsonStyle.PYTHON_INDENTED.write(sample()));
  }

  @Test
  void printsCompactlyAsSerde() {
    assertEquals(
        "{\"b\":[\"x\",2,null],\"a\":{\"t\":true,\"d\":1e-05},\"e\":{},\"f\":[],\"n\":null}",
        JsonStyle.COMPACT.write(sample()));
  }

  @Test
  void escapesAsEachWriterDoes() {
    JsonString string = new JsonString("\"\\/\b\f\n\r\t\u0001\u007fé漢😀");
    assertEquals(
        "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\\u00e9\\u6f22\\ud83d\\ude00\"",
        JsonStyle.PYTHON.write(string));
    assertEquals("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\u007fé漢😀\"", JsonStyle.COMPACT.write(string));
  }

  @Test
  void sortsByCodePoint() {
    // U+FF5E sorts before U+1F600, although its code unit is above that of the surrogate.
    assertEquals(
        List.of("", "A", "a", "aa", "～", "😀"),
        Stream.of("😀", "aa", "～", "a", "A", "").sorted(JsonStyle.BY_CODE_POINT).toList());
  }
}
