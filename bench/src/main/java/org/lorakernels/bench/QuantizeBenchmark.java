package org.lorakernels.bench;

import java.util.concurrent.TimeUnit;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
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
 * Quantising a dense weight (plain NF4, blocks of 64) and back. Setting up checks the round trip.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class QuantizeBenchmark {
  @Param({"4096x4096", "11008x4096", "4096x11008", "1024x4096"})
  String shape;

  @Param({"F32", "BF16"})
  DType dtype;

  private Device device;
  private Tensor dense;
  private Tensor back;
  private Nf4Tensor quantized;

  @Setup(Level.Trial)
  public void open() {
    Shape size = Shape.parse(shape);
    device = Device.cpu();
    dense = Values.normal(device, 1, dtype, size.n(), size.k());
    back = Tensor.zeros(device, dtype, size.n(), size.k());
    quantized = LoraKernels.quantize(dense, Nf4Format.plain());
    LoraKernels.dequantize(quantized, back);
    // NF4 in blocks of 64 loses 9.1 % of a normal weight
    double error = Values.relativeError(back.toFloatArray(), dense.toFloatArray());
    Values.require("round trip", Math.abs(error - 0.0912), 0.003);
  }

  @Benchmark
  public void quantize() {
    LoraKernels.quantize(dense, quantized);
  }

  @Benchmark
  public void dequantize() {
    LoraKernels.dequantize(quantized, back);
  }

  @TearDown(Level.Trial)
  public void close() {
    quantized.close();
    back.close();
    dense.close();
    device.close();
  }
}
