package org.lorakernels.golden;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * The reader of the golden files, checked against the same tables written as bit patterns in JSON.
 */
class GoldenFileTest {

  @Test
  void readsTheTablesAsTheirBitPatterns() {
    GoldenFile file = GoldenFile.open("nf4/tables.safetensors");
    Map<?, ?> bits = (Map<?, ?>) GoldenFile.json("nf4/tables.json");
    for (Map.Entry<?, ?> table : bits.entrySet()) {
      String name = ((String) table.getKey()).replace("_f32_hex", "");
      float[] values = file.get(name).floats();
      List<?> expected = (List<?>) table.getValue();
      assertEquals(expected.size(), values.length, name);
      for (int i = 0; i < values.length; i++) {
        int expectedBits = Integer.parseUnsignedInt(((String) expected.get(i)).substring(2), 16);
        assertEquals(expectedBits, Float.floatToRawIntBits(values[i]), name + "[" + i + "]");
      }
    }
  }
}
