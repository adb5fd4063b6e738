package org.lorakernels.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.MergeKernels;
import org.lorakernels.MergeKernels.SignElection;
import org.lorakernels.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * Eight deltas of a projection combined: a weighted sum, TIES' disjoint merge, and the pruning that
 * TIES does first, of one of them. Setting up checks an element of each.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class CombineBenchmark {
  /** How many are combined. */
  static final int ADAPTERS = 8;

  @Param({"4096x4096", "11008x4096", "4096x11008", "1024x4096"})
  String shape;

  private final List<Tensor> deltas = new ArrayList<>();
  private final float[] weights = new float[ADAPTERS];
  private Device device;
  private Tensor out;

  @Setup(Level.Trial)
  public void open() {
    Shape size = Shape.parse(shape);
    device = Device.cpu();
    out = Tensor.zeros(device, DType.F32, size.n(), size.k());
    double sum = 0;
    double positive = 0;
    double negative = 0;
    for (int i = 0; i < ADAPTERS; i++) {
      deltas.add(Values.normal(device, i, DType.F32, size.n(), size.k()));
      weights[i] = 1f / (i + 1);
      float element = deltas.get(i).get(3, 5);
      sum += weights[i] * element;
      positive += Math.max(element, 0);
      negative += Math.min(element, 0);
    }
    combineLinear();
    Values.require("weighted sum", Math.abs(out.get(3, 5) - sum), 1e-5);
    combineElected();
    boolean elected = out.get(3, 5) >= 0;
    Values.require("elected sign", elected == positive + negative >= 0 ? 0 : 1, 0.5);
    keepHalf();
    float kept = out.get(3, 5);
    Values.require("kept element", kept == 0 ? 0 : Math.abs(kept - deltas.get(0).get(3, 5)), 0.5);
  }

  @Benchmark
  public void combineLinear() {
    MergeKernels.combineLinear(deltas, weights, out);
  }

  @Benchmark
  public void combineElected() {
    MergeKernels.combineElected(deltas, weights, SignElection.TOTAL, out);
  }

  @Benchmark
  public void keepHalf() {
    MergeKernels.keepRanked(deltas.get(0), 0, out.elementCount() / 2, out);
  }

  @TearDown(Level.Trial)
  public void close() {
    deltas.forEach(Tensor::close);
    out.close();
    device.close();
  }
}
