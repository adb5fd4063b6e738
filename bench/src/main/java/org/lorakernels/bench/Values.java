package org.lorakernels.bench;

import java.util.SplittableRandom;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Tensor;

/** Inputs: normal values, since zeros draw less power and run faster. */
final class Values {
  private Values() {}

  static Tensor normal(Device device, long seed, DType dtype, long rows, long cols) {
    SplittableRandom random = new SplittableRandom(seed);
    Tensor tensor = Tensor.zeros(device, dtype, rows, cols);
    float[] row = new float[Math.toIntExact(cols)];
    for (long r = 0; r < rows; r++) {
      for (int c = 0; c < row.length; c++) {
        row[c] = (float) random.nextGaussian();
      }
      try (Tensor view = tensor.slice(r, r + 1)) {
        view.copyFrom(row);
      }
    }
    return tensor;
  }

  /** |actual - expected| / |expected|. */
  static double relativeError(float[] actual, float[] expected) {
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < expected.length; i++) {
      difference += Math.pow((double) actual[i] - expected[i], 2);
      norm += Math.pow(expected[i], 2);
    }
    return Math.sqrt(difference / norm);
  }

  /**
   * Throws unless the error is within the tolerance: a benchmark of a wrong result is worth
   * nothing.
   */
  static void require(String what, double error, double tolerance) {
    if (!(error <= tolerance)) {
      throw new IllegalStateException(what + ": error " + error + ", allowed " + tolerance);
    }
  }
}
