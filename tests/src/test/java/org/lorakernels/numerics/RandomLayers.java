package org.lorakernels.numerics;

import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;

/** A fixed sequence of random layers, for runs without the property engine. */
public final class RandomLayers {
  private static final int COUNT = 40;
  private static final long SEED = 2305;

  private RandomLayers() {}

  public static Stream<DynamicTest> cases() {
    Random random = new Random(SEED);
    return Stream.generate(() -> LayerCase.draw(random))
        .limit(COUNT)
        .map(layer -> dynamicTest(layer.toString(), layer::check));
  }
}
