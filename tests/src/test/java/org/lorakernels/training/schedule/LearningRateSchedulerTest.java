package org.lorakernels.training.schedule;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.lorakernels.InvalidArgumentException;

class LearningRateSchedulerTest {
  /** The factors of a run of ten steps with two of warm-up. */
  private static double[] run(LearningRateScheduler scheduler) {
    return LongStream.range(0, 10).mapToDouble(step -> scheduler.factor(step, 2, 10)).toArray();
  }

  @Test
  void factorsAreThoseOfTransformers() {
    // The lists in transformers' own tests (tests/optimization/test_optimization.py), over 10.
    assertArrayEquals(
        new double[] {0, .5, 1, 1, 1, 1, 1, 1, 1, 1}, run(LearningRateScheduler.CONSTANT));
    assertArrayEquals(
        new double[] {0, .5, 1, .875, .75, .625, .5, .375, .25, .125},
        run(LearningRateScheduler.LINEAR));
    assertArrayEquals(
        new double[] {0, .5, 1, .961, .853, .691, .5, .308, .146, .038},
        run(LearningRateScheduler.COSINE),
        0.001); // the list has three digits, cut off
  }

  @Test
  void nothingGoesBelowZeroAfterTheEnd() {
    assertEquals(0, LearningRateScheduler.LINEAR.factor(12, 2, 10));
    assertTrue(LearningRateScheduler.COSINE.factor(10, 2, 10) >= 0);
    assertEquals(1, LearningRateScheduler.LINEAR.factor(0, 0, 1));
  }

  @Test
  void namesAreThoseOfTransformers() {
    assertEquals(LearningRateScheduler.COSINE, LearningRateScheduler.of("cosine"));
    assertEquals(LearningRateScheduler.CONSTANT, LearningRateScheduler.of("constant_with_warmup"));
    InvalidArgumentException unknown =
        assertThrows(InvalidArgumentException.class, () -> LearningRateScheduler.of("polynomial"));
    assertTrue(unknown.getMessage().contains("[constant, linear, cosine]"), unknown.getMessage());
  }
}
