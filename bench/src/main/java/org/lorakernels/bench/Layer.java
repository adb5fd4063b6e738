package org.lorakernels.bench;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * A layer: several equal weights used in turn, so that each comes from memory and not from a cache,
 * an adapter, activations and outputs. Setting it up checks the fused against the unfused results.
 */
@State(Scope.Benchmark)
public class Layer {
  /** What the weights used in turn hold together; beyond the caches of common machines. */
  private static final long ROTATED_BYTES = 96L << 20;

  @Param({"4096x4096", "11008x4096", "4096x11008", "1024x4096"})
  String shape;

  @Param({"1", "16", "128", "512"})
  int m;

  @Param({"F32", "BF16"})
  DType dtype;

  Device device;
  LoraAdapter adapter;
  Tensor x;
  Tensor dy;
  Tensor y;
  Tensor dx;
  private final List<Nf4Tensor> weights = new ArrayList<>();
  private int next;

  @Setup(Level.Trial)
  public void open() {
    Shape size = Shape.parse(shape);
    device = Device.cpu();
    try (Tensor dense = Values.normal(device, 1, DType.F32, size.n(), size.k())) {
      do {
        weights.add(LoraKernels.quantize(dense, Nf4Format.doubleQuantized()));
      } while (weights.size() * weights.get(0).byteSize() < ROTATED_BYTES);
    }
    adapter = LoraAdapter.create(weights.get(0), LoraConfig.rank(Work.RANK).alpha(32));
    try (Tensor b = Values.normal(device, 2, DType.F32, size.n(), Work.RANK)) {
      adapter.b().copyFrom(b);
    }
    x = Values.normal(device, 3, dtype, m, size.k());
    dy = Values.normal(device, 4, dtype, m, size.n());
    y = Tensor.zeros(device, dtype, m, size.n());
    dx = Tensor.zeros(device, dtype, m, size.k());
    check();
  }

  private void check() {
    // F32: sums in another order; BF16: weights and results are rounded to 8 bits
    double tolerance = dtype == DType.F32 ? 1e-5 : 1e-2;
    LoraKernels.fusedForward(x, weights.get(0), null, adapter, y);
    LoraKernels.fusedBackward(x, dy, weights.get(0), adapter, dx);
    float[] gradient = adapter.gradA().toFloatArray();
    adapter.zeroGradients();
    try (Tensor y2 = LoraKernels.unfusedForward(x, weights.get(0), adapter);
        Tensor dx2 = LoraKernels.unfusedBackward(x, dy, weights.get(0), adapter)) {
      Values.require("y", Values.relativeError(y.toFloatArray(), y2.toFloatArray()), tolerance);
      Values.require("dx", Values.relativeError(dx.toFloatArray(), dx2.toFloatArray()), tolerance);
      float[] gradient2 = adapter.gradA().toFloatArray();
      Values.require("dA", Values.relativeError(gradient, gradient2), tolerance);
    }
  }

  /** The weights in turn. */
  Nf4Tensor weight() {
    next = (next + 1) % weights.size();
    return weights.get(next);
  }

  @TearDown(Level.Trial)
  public void close() {
    weights.forEach(Nf4Tensor::close);
    weights.clear();
    adapter.close();
    List.of(x, dy, y, dx).forEach(Tensor::close);
    device.close();
  }
}
