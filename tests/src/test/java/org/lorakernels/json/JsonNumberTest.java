package org.lorakernels.json;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Numbers keep their text; doubles get the text that CPython gives them. */
class JsonNumberTest {

  @Test
  void printsDoublesAsPython() throws IOException {
    int cases = 0;
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(
                JsonNumberTest.class.getResourceAsStream("/json/python_repr.txt"),
                StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (!line.startsWith("#")) {
          String[] fields = line.split(" ");
          double value = Double.longBitsToDouble(Long.parseUnsignedLong(fields[0], 16));
          assertEquals(fields[1], JsonNumber.of(value).text(), "bits " + fields[0]);
          cases++;
        }
      }
    }
    assertTrue(cases > 300, "cases read: " + cases);
  }

  @Test
  void tellsIntegersFromOthers() {
    assertTrue(new JsonNumber("-12").isInteger());
    assertFalse(new JsonNumber("12.0").isInteger());
    assertFalse(new JsonNumber("1e3").isInteger());
    assertEquals(Long.MIN_VALUE, JsonNumber.of(Long.MIN_VALUE).longValue());
    assertThrows(JsonException.class, new JsonNumber("12.0")::longValue);
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY})
  void refusesWhatJsonCannotExpress(double value) {
    assertThrows(JsonException.class, () -> JsonNumber.of(value));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "01", "1.", ".1", "+1", "1e", "NaN", "1 ", "0x1"})
  void refusesTextThatIsNoNumber(String text) {
    assertThrows(JsonException.class, () -> new JsonNumber(text));
  }
}
