package org.lorakernels.oracle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Philox4x32-10 against the known answers published with it, and the mask's rate. */
class DropoutOracleTest {

  @Test
  void givesTheKnownAnswers() {
    assertArrayEquals(
        new long[] {0x6627e8d5L, 0xe169c58dL, 0xbc57ac4cL, 0x9b00dbd8L},
        DropoutOracle.philox(new long[4], 0));
    assertArrayEquals(
        new long[] {0xd16cfe09L, 0x94fdccebL, 0x5001e420L, 0x24126ea1L},
        DropoutOracle.philox(
            new long[] {0x243f6a88L, 0x85a308d3L, 0x13198a2eL, 0x03707344L}, 0x299f31d0a4093822L));
  }

  @Test
  void dropsAtTheRate() {
    Matrix mask = DropoutOracle.mask(200, 500, 0.3f, 11, 0);
    double mean = Arrays.stream(mask.values()).average().orElseThrow();
    // 100,000 draws: the mean's standard deviation is sqrt(0.3 / 0.7 / 1e5) = 0.0021; five of them.
    assertEquals(1, mean, 0.0105);
  }
}
