package org.lorakernels.json;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;

/** What holds for every document, string and number. */
class JsonPropertiesTest {

  @Property
  void noInputDoesMoreThanThrowJsonException(@ForAll @Size(max = 200) byte[] document) {
    try {
      JsonReader.parse(document);
    } catch (JsonException expected) {
      assertTrue(expected.getMessage().contains("JSON"), expected.getMessage());
    }
  }

  @Property
  void everyStringSurvivesWritingAndReading(@ForAll String string) {
    String wellFormed = new String(string.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
    JsonString value = new JsonString(wellFormed);
    for (JsonStyle style : JsonStyle.values()) {
      assertEquals(value, JsonReader.parse(style.write(value)));
    }
  }

  @Property
  void everyFiniteDoubleReadsBack(@ForAll long bits) {
    double value = Double.longBitsToDouble(bits);
    if (Double.isFinite(value)) {
      assertEquals(value, JsonNumber.of(value).doubleValue());
    }
  }
}
