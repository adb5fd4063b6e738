package org.lorakernels.bench;

import java.util.concurrent.TimeUnit;
import org.lorakernels.LoraKernels;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;

/** Matmul in both directions, LoRA forward and backward, fused and unfused. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class LayerBenchmark {
  @Benchmark
  public void matmul(Layer l) {
    LoraKernels.matmul(l.x, l.weight(), null, l.y);
  }

  @Benchmark
  public void matmulTransposed(Layer l) {
    LoraKernels.matmulTransposed(l.dy, l.weight(), l.dx);
  }

  @Benchmark
  public void fusedForward(Layer l) {
    LoraKernels.fusedForward(l.x, l.weight(), null, l.adapter, l.y);
  }

  @Benchmark
  public void unfusedForward(Layer l) {
    LoraKernels.unfusedForward(l.x, l.weight(), null, l.adapter, l.y);
  }

  @Benchmark
  public void fusedBackward(Layer l) {
    LoraKernels.fusedBackward(l.x, l.dy, l.weight(), l.adapter, l.dx);
  }

  @Benchmark
  public void unfusedBackward(Layer l) {
    LoraKernels.unfusedBackward(l.x, l.dy, l.weight(), l.adapter, l.dx);
  }
}
