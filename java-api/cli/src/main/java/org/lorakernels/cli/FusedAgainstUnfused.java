package org.lorakernels.cli;

import java.util.SplittableRandom;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.MemoryStats;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;

/**
 * Compares the two paths on one weight: time of forward and backward, memory, and whether the
 * results agree.
 */
final class FusedAgainstUnfused {
  /**
   * Sums in another order over K terms of both signs differ by a few units in the last place of
   * their largest partial sum.
   */
  private static final double TOLERANCE = 1e-4;

  /**
   * What was measured. Timings: [fused, unfused].
   *
   * @param forward times of forward
   * @param backward times of backward, dx included
   * @param fusedBytes what the fused path allocated beyond its inputs: outputs and workspace
   * @param unfusedBytes the same of the unfused path
   * @param difference largest relative difference of y and dx between the paths
   */
  record Result(
      Timing[] forward, Timing[] backward, long fusedBytes, long unfusedBytes, double difference) {}

  private FusedAgainstUnfused() {}

  /**
   * Measures with a random weight.
   *
   * @param n rows of the weight
   * @param k columns of the weight
   * @param m rows of x
   */
  static Result random(long n, long k, int m, int rank, int rounds) {
    try (Device device = Device.cpu();
        Nf4Tensor weight = randomWeight(device, n, k);
        LoraAdapter adapter = LoraAdapter.create(weight, LoraConfig.rank(rank))) {
      return measure(device, weight, adapter, m, rounds);
    }
  }

  private static Nf4Tensor randomWeight(Device device, long n, long k) {
    try (Tensor dense = Floats.normal(device, new SplittableRandom(n * 31 + k), n, k)) {
      return LoraKernels.quantize(dense, Nf4Format.doubleQuantized());
    }
  }

  /**
   * Measures with a given weight and adapter; the device should be used by nothing else, or memory
   * is overstated.
   */
  static Result measure(Device device, Nf4Tensor weight, LoraAdapter adapter, int m, int rounds) {
    SplittableRandom random = new SplittableRandom(m);
    try (Tensor x = Floats.normal(device, random, m, weight.cols());
        Tensor dy = Floats.normal(device, random, m, weight.rows())) {
      adapter.gradA();
      long fusedBytes = bytesOf(device, () -> step(x, dy, weight, adapter, true));
      long unfusedBytes = bytesOf(device, () -> step(x, dy, weight, adapter, false));
      try (Tensor y = LoraKernels.fusedForward(x, weight, adapter);
          Tensor y2 = LoraKernels.unfusedForward(x, weight, adapter);
          Tensor dx = LoraKernels.fusedBackward(x, dy, weight, adapter);
          Tensor dx2 = LoraKernels.unfusedBackward(x, dy, weight, adapter)) {
        double difference = Math.max(Floats.relativeError(y, y2), Floats.relativeError(dx, dx2));
        if (!(difference <= TOLERANCE)) {
          throw new LoraKernelsException(
              "fused and unfused results must agree within "
                  + TOLERANCE
                  + ", but differ by "
                  + difference
                  + " on "
                  + weight);
        }
        Timing[] forward =
            Timing.interleaved(
                rounds,
                () -> LoraKernels.fusedForward(x, weight, null, adapter, y),
                () -> LoraKernels.unfusedForward(x, weight, null, adapter, y2));
        Timing[] backward =
            Timing.interleaved(
                rounds,
                () -> LoraKernels.fusedBackward(x, dy, weight, adapter, dx),
                () -> LoraKernels.unfusedBackward(x, dy, weight, adapter, dx2));
        adapter.zeroGradients();
        return new Result(forward, backward, fusedBytes, unfusedBytes, difference);
      }
    }
  }

  private static void step(
      Tensor x, Tensor dy, Nf4Tensor weight, LoraAdapter adapter, boolean fused) {
    try (Tensor y =
            fused
                ? LoraKernels.fusedForward(x, weight, adapter)
                : LoraKernels.unfusedForward(x, weight, adapter);
        Tensor dx =
            fused
                ? LoraKernels.fusedBackward(x, dy, weight, adapter)
                : LoraKernels.unfusedBackward(x, dy, weight, adapter)) {
      adapter.zeroGradients();
    }
  }

  /** Growth of the peak of allocations by an operation, and the workspace that the device holds. */
  private static long bytesOf(Device device, Runnable operation) {
    MemoryStats before = device.memory();
    operation.run();
    MemoryStats after = device.memory();
    return Math.max(0, after.allocatedPeakBytes() - before.allocatedBytes())
        + after.workspacePeakBytes();
  }
}
