package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.MemoryStats;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Scope;

/**
 * The memory promise: a matmul or LoRA call takes its outputs and at most 2 MiB more, whatever the
 * shape; a call that writes into given outputs takes no device memory and, once warm, no Java
 * memory.
 */
class MemoryBudgetTest {
  private static final long WORKSPACE = 2 << 20;

  /** Allocations are padded to the alignment. */
  private static final long ALIGNMENT = 64;

  record Shape(int rows, int outputs, int inputs, int rank, DType dtype) {}

  /**
   * Layers of a 7B model (one side cut so that the test is quick), a single token, and batches
   * whose x A^T is large.
   */
  static Stream<Shape> shapes() {
    return Stream.of(
        new Shape(512, 512, 4096, 16, DType.F32),
        new Shape(512, 4096, 512, 64, DType.BF16),
        new Shape(1, 11008, 4096, 16, DType.F32),
        new Shape(16, 4096, 11008, 256, DType.BF16),
        new Shape(8192, 64, 96, 256, DType.F32),
        new Shape(8192, 96, 64, 256, DType.F16));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void callsTakeTheirOutputsAndTwoMebibytes(Shape shape) {
    try (Scope scope = Scope.cpu()) {
      Layer layer = new Layer(scope, shape);
      long y = layer.y.byteSize();
      long dx = layer.dx.byteSize();
      takes(scope, y, () -> LoraKernels.matmul(layer.x, layer.weight));
      takes(scope, dx, () -> LoraKernels.matmulTransposed(layer.dy, layer.weight));
      takes(scope, y, () -> LoraKernels.fusedForward(layer.x, layer.weight, layer.lora));
      takes(
          scope, dx, () -> LoraKernels.fusedBackward(layer.x, layer.dy, layer.weight, layer.lora));

      long allocations = scope.device().memory().allocationCount();
      layer.runInPlace();
      MemoryStats memory = scope.device().memory();
      assertEquals(
          allocations,
          memory.allocationCount(),
          "calls that are given their outputs allocate nothing");
      assertTrue(
          memory.workspacePeakBytes() <= WORKSPACE,
          "workspace peaked at " + memory.workspacePeakBytes());
    }
  }

  private static void takes(Scope scope, long outputBytes, Supplier<Tensor> call) {
    MemoryStats before = scope.device().memory();
    try (Tensor output = call.get()) {
      MemoryStats after = scope.device().memory();
      assertEquals(outputBytes, output.byteSize());
      assertEquals(
          before.allocationCount() + 1, after.allocationCount(), "the output alone is allocated");
      long peak = Math.max(after.allocatedPeakBytes() - before.allocatedPeakBytes(), 0);
      long taken = after.allocatedBytes() - before.allocatedBytes();
      assertTrue(
          taken <= outputBytes + ALIGNMENT,
          "took " + taken + " bytes for an output of " + outputBytes);
      assertTrue(
          peak <= outputBytes + ALIGNMENT,
          "peak rose by " + peak + " for an output of " + outputBytes);
      assertTrue(
          after.workspacePeakBytes() <= WORKSPACE,
          "workspace peaked at " + after.workspacePeakBytes());
    }
  }

  @Test
  void warmCallsTakeNoJavaMemory() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (Scope scope = Scope.cpu()) {
      Layer layer = new Layer(scope, new Shape(1, 64, 64, 4, DType.F32));
      int calls = 1000;
      for (int i = 0; i < calls; i++) layer.runInPlace();
      long id = Thread.currentThread().getId();
      long before = threads.getThreadAllocatedBytes(id);
      for (int i = 0; i < calls; i++) layer.runInPlace();
      long perRound = (threads.getThreadAllocatedBytes(id) - before) / calls;
      // The counter itself and a compilation in between may cost a few bytes; one small object a
      // call would be 16 or more.
      assertTrue(perRound < 16, perRound + " bytes of Java memory for each round of calls");
    }
  }

  private static final class Layer {
    private final Tensor x;
    private final Tensor dy;
    private final Tensor y;
    private final Tensor dx;
    private final Nf4Tensor weight;
    private final LoraAdapter lora;

    Layer(Scope scope, Shape shape) {
      x = filled(scope, shape.dtype, shape.rows, shape.inputs);
      dy = filled(scope, shape.dtype, shape.rows, shape.outputs);
      y = scope.zeros(shape.dtype, shape.rows, shape.outputs);
      dx = scope.zeros(shape.dtype, shape.rows, shape.inputs);
      weight =
          scope.own(
              Nf4Tensor.allocate(
                  scope.device(),
                  Nf4Format.doubleQuantized(),
                  DType.BF16,
                  shape.outputs,
                  shape.inputs));
      lora = scope.own(LoraAdapter.create(weight, LoraConfig.rank(shape.rank).dropout(0.1f)));
      lora.gradA();
      lora.gradB();
    }

    private static Tensor filled(Scope scope, DType dtype, long rows, long cols) {
      Tensor tensor = scope.zeros(dtype, rows, cols);
      tensor.fill(1);
      return tensor;
    }

    void runInPlace() {
      LoraKernels.matmul(x, weight, null, y);
      LoraKernels.matmulTransposed(dy, weight, dx);
      LoraKernels.fusedForward(x, weight, null, lora, y);
      LoraKernels.fusedBackward(x, dy, weight, lora, dx);
    }
  }
}
