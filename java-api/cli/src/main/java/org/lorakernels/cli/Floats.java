package org.lorakernels.cli;

import java.nio.FloatBuffer;
import java.util.random.RandomGenerator;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Tensor;

/** Small arithmetic on F32 tensors of a CPU device, for errors and gradients of a squared loss. */
final class Floats {
  private Floats() {}

  /** Independent normal values. */
  static Tensor normal(Device device, RandomGenerator random, long rows, long cols) {
    Tensor tensor = Tensor.zeros(device, DType.F32, rows, cols);
    FloatBuffer values = tensor.asByteBuffer().asFloatBuffer();
    for (int i = 0; i < values.capacity(); i++) {
      values.put(i, (float) random.nextGaussian());
    }
    return tensor;
  }

  /** |actual - expected| / |expected| in the Euclidean norm. */
  static double relativeError(Tensor actual, Tensor expected) {
    FloatBuffer a = actual.asByteBuffer().asFloatBuffer();
    FloatBuffer e = expected.asByteBuffer().asFloatBuffer();
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < e.capacity(); i++) {
      double d = (double) a.get(i) - e.get(i);
      difference += d * d;
      norm += (double) e.get(i) * e.get(i);
    }
    return norm == 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
  }

  /** out = factor * (a - b). */
  static void scaledDifference(Tensor a, Tensor b, float factor, Tensor out) {
    FloatBuffer left = a.asByteBuffer().asFloatBuffer();
    FloatBuffer right = b.asByteBuffer().asFloatBuffer();
    FloatBuffer result = out.asByteBuffer().asFloatBuffer();
    for (int i = 0; i < result.capacity(); i++) {
      result.put(i, factor * (left.get(i) - right.get(i)));
    }
  }
}
