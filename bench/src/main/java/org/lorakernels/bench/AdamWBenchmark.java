package org.lorakernels.bench;

import java.util.List;
import java.util.concurrent.TimeUnit;
import org.lorakernels.AdamWConfig;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
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
 * A step of AdamW over a dense F32 weight. Setting up checks the first step, whose size is the
 * learning rate.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class AdamWBenchmark {
  private static final double LEARNING_RATE = 1e-3;

  @Param({"4096x4096", "11008x4096", "4096x11008", "1024x4096"})
  String shape;

  private Device device;
  private Tensor value;
  private Tensor gradient;
  private PagedAdamW optimizer;

  @Setup(Level.Trial)
  public void open() {
    Shape size = Shape.parse(shape);
    device = Device.cpu();
    value = Tensor.zeros(device, DType.F32, size.n(), size.k());
    gradient = Values.normal(device, 1, DType.F32, size.n(), size.k());
    optimizer =
        PagedAdamW.over(
            List.of(new Parameter("w", value, gradient)),
            AdamWConfig.defaults().learningRate(LEARNING_RATE));
    optimizer.step();
    // m / sqrt(v) is the sign of the gradient after bias correction
    float expected = (float) (-LEARNING_RATE * Math.signum(gradient.get(3, 5)));
    Values.require("first step", Math.abs(value.get(3, 5) / expected - 1), 1e-5);
  }

  @Benchmark
  public void step() {
    optimizer.step();
  }

  @TearDown(Level.Trial)
  public void close() {
    optimizer.close();
    gradient.close();
    value.close();
    device.close();
  }
}
