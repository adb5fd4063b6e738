package org.lorakernels.cli;

import java.util.Arrays;
import org.lorakernels.json.JsonObject;

/**
 * Times of one thing over several rounds.
 *
 * @param minNanos the fastest round
 * @param medianNanos the median
 */
record Timing(double minNanos, double medianNanos) {
  private static final int WARM_UP_ROUNDS = 2;

  /**
   * Two things timed in turn (A B A B ...), so that a machine whose speed drifts treats both alike.
   */
  static Timing[] interleaved(int rounds, Runnable a, Runnable b) {
    double[][] nanos = new double[2][rounds];
    for (int round = -WARM_UP_ROUNDS; round < rounds; round++) {
      double timeA = time(a);
      double timeB = time(b);
      if (round >= 0) {
        nanos[0][round] = timeA;
        nanos[1][round] = timeB;
      }
    }
    return new Timing[] {of(nanos[0]), of(nanos[1])};
  }

  private static double time(Runnable work) {
    long start = System.nanoTime();
    work.run();
    return System.nanoTime() - start;
  }

  private static Timing of(double[] nanos) {
    Arrays.sort(nanos);
    return new Timing(nanos[0], nanos[nanos.length / 2]);
  }

  Timing plus(Timing other) {
    return new Timing(minNanos + other.minNanos, medianNanos + other.medianNanos);
  }

  JsonObject json() {
    return new JsonObject().put("min_ms", minNanos / 1e6).put("median_ms", medianNanos / 1e6);
  }
}
