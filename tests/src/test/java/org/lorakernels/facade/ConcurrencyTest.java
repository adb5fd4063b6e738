package org.lorakernels.facade;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.lorakernels.ClosedException;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;

/** Several threads on one device. */
class ConcurrencyTest {
  private static final int THREADS = 8;
  private static final int N = 96;
  private static final int K = 160;

  private static float[] normal(long seed, int count) {
    return Matrix.gaussian(1, count, 1, Precision.F32, new Random(seed)).floats();
  }

  private static <T> List<T> inParallel(List<Callable<T>> tasks) throws Exception {
    ExecutorService executor = Executors.newFixedThreadPool(THREADS);
    try {
      List<T> results = new ArrayList<>();
      for (Future<T> future : executor.invokeAll(tasks)) {
        results.add(future.get());
      }
      return results;
    } finally {
      executor.shutdownNow();
    }
  }

  @Test
  @Timeout(value = 2, unit = TimeUnit.MINUTES)
  void manyThreadsShareDeviceAndWeight() throws Exception {
    try (Device device = Device.cpu();
        Tensor dense = Tensor.of(device, normal(1, N * K), N, K);
        Nf4Tensor weight = LoraKernels.quantize(dense, Nf4Format.doubleQuantized())) {
      List<float[]> expected = new ArrayList<>();
      for (int t = 0; t < THREADS; t++) {
        expected.add(work(device, weight, t));
      }
      List<Callable<float[]>> tasks = new ArrayList<>();
      for (int i = 0; i < THREADS * 20; i++) {
        int seed = i % THREADS;
        tasks.add(() -> work(device, weight, seed));
      }
      List<float[]> actual = inParallel(tasks);
      for (int i = 0; i < actual.size(); i++) {
        assertArrayEquals(expected.get(i % THREADS), actual.get(i));
      }
    }
  }

  /** Forward and backward with an adapter of its own: y, then dA. */
  private static float[] work(Device device, Nf4Tensor weight, int seed) {
    int m = 1 + seed * 3;
    LoraConfig config = LoraConfig.rank(1 + seed).dropout(0.1f).seed(seed);
    try (LoraAdapter adapter = LoraAdapter.create(weight, config);
        Tensor x = Tensor.of(device, normal(seed, m * K), m, K)) {
      adapter.b().copyFrom(normal(seed + 100, N * (1 + seed)));
      try (Tensor y = LoraKernels.fusedForward(x, weight, adapter);
          Tensor dx = LoraKernels.fusedBackward(x, y, weight, adapter)) {
        float[] first = dx.toFloatArray();
        float[] second = adapter.gradA().toFloatArray();
        float[] all = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, all, first.length, second.length);
        return all;
      }
    }
  }

  @Test
  @Timeout(value = 2, unit = TimeUnit.MINUTES)
  void closingWhileOthersComputeIsSafe() throws Exception {
    try (Device device = Device.cpu();
        Tensor dense = Tensor.of(device, normal(2, N * K), N, K);
        Nf4Tensor weight = LoraKernels.quantize(dense, Nf4Format.plain())) {
      for (int round = 0; round < 50; round++) {
        Tensor x = Tensor.of(device, normal(3, 16 * K), 16, K);
        float[] expected;
        try (Tensor y = LoraKernels.matmul(x, weight)) {
          expected = y.toFloatArray();
        }
        List<Callable<Boolean>> tasks = new ArrayList<>();
        for (int t = 1; t < THREADS; t++) {
          tasks.add(() -> computeUntilClosed(x, weight, expected));
        }
        tasks.add(
            () -> {
              x.close();
              return true;
            });
        assertTrue(inParallel(tasks).stream().allMatch(ok -> ok));
        assertEquals(dense.byteSize() + weight.byteSize(), device.memory().allocatedBytes());
      }
    }
  }

  private static boolean computeUntilClosed(Tensor x, Nf4Tensor weight, float[] expected) {
    for (int i = 0; i < 1_000_000; i++) {
      try (Tensor y = LoraKernels.matmul(x, weight)) {
        assertArrayEquals(expected, y.toFloatArray());
      } catch (ClosedException closed) {
        return true;
      }
    }
    return false;
  }

  @Test
  @Timeout(value = 2, unit = TimeUnit.MINUTES)
  void theNumberOfThreadsMayChangeUnderLoad() throws Exception {
    int before = LoraKernels.numThreads();
    try (Device device = Device.cpu();
        Tensor dense = Tensor.of(device, normal(4, N * K), N, K);
        Nf4Tensor weight = LoraKernels.quantize(dense, Nf4Format.plain())) {
      float[] expected = work(device, weight, 5);
      List<Callable<Boolean>> tasks = new ArrayList<>();
      for (int i = 0; i < 60; i++) {
        int threads = 1 + i % 5;
        tasks.add(
            () -> {
              LoraKernels.numThreads(threads);
              assertArrayEquals(expected, work(device, weight, 5));
              return true;
            });
      }
      assertTrue(inParallel(tasks).stream().allMatch(ok -> ok));
    } finally {
      LoraKernels.numThreads(before);
    }
  }
}
