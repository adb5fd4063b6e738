package org.lorakernels;

import static org.lorakernels.Blas.gemm;

/**
 * The honest baseline of the fused operations, with the same arguments and results: dequantise the
 * whole weight to F32, one BLAS product for the base, two for the adapter, dropout and adds as
 * passes of their own. 16-bit activations are widened to F32 first, since that is what BLAS
 * computes with. Temporaries are tensors, so {@link Device#memory} shows what this path costs.
 */
final class UnfusedPath {
  private UnfusedPath() {}

  /** y = x Wᵀ + bias + scaling (D∘x) Aᵀ Bᵀ. */
  static void forward(Tensor x, Weight weight, Tensor bias, LoraAdapter adapter, Tensor y) {
    Blas.ensure("unfusedForward", x.device());
    if (y.elementCount() == 0) {
      return;
    }
    long m = x.rows();
    try (Temporaries t = new Temporaries(x.device())) {
      Tensor x32 = t.f32(x);
      Tensor w32 = t.keep(LoraKernels.dequantize(weight, DType.F32));
      Tensor y32 = t.zeros(m, weight.rows());
      if (bias != null) {
        Tensor ones = t.zeros(m, 1);
        ones.fill(1f);
        gemm(false, false, 1f, ones, t.f32(bias), 0f, y32);
      }
      gemm(false, true, 1f, x32, w32, 1f, y32);
      Tensor s = t.zeros(m, adapter.rank());
      gemm(false, true, 1f, t.dropped(x32, adapter), t.f32(adapter.a()), 0f, s);
      gemm(false, true, adapter.scaling(), s, t.f32(adapter.b()), 1f, y32);
      LoraKernels.convert(y32, y);
    }
  }

  /**
   * dB += scaling dyᵀ S; dA += dSᵀ (D∘x); dx = dy W + D∘(dS A); S = (D∘x) Aᵀ, dS = scaling dy B.
   */
  static void backward(Tensor x, Tensor dy, Weight weight, LoraAdapter adapter, Tensor dx) {
    Blas.ensure("unfusedBackward", x.device());
    if (x.elementCount() == 0 || dy.elementCount() == 0) {
      if (dx != null) {
        dx.fill(0f);
      }
      return;
    }
    long m = x.rows();
    try (Temporaries t = new Temporaries(x.device())) {
      Tensor dy32 = t.f32(dy);
      Tensor dropped = t.dropped(t.f32(x), adapter);
      Tensor a = t.f32(adapter.a());
      Tensor s = t.zeros(m, adapter.rank());
      gemm(false, true, 1f, dropped, a, 0f, s);
      gemm(true, false, adapter.scaling(), dy32, s, 1f, adapter.gradB());
      Tensor ds = t.zeros(m, adapter.rank());
      gemm(false, false, adapter.scaling(), dy32, t.f32(adapter.b()), 0f, ds);
      gemm(true, false, 1f, ds, dropped, 1f, adapter.gradA());
      if (dx == null) {
        return;
      }
      Tensor w32 = t.keep(LoraKernels.dequantize(weight, DType.F32));
      Tensor branch = t.zeros(m, weight.cols());
      gemm(false, false, 1f, ds, a, 0f, branch);
      LoraKernels.dropout(branch, adapter, branch);
      gemm(false, false, 1f, dy32, w32, 1f, branch);
      LoraKernels.convert(branch, dx);
    }
  }

  /** Tensors that end with an operation. */
  private static final class Temporaries implements AutoCloseable {
    private final Device device;
    private final java.util.List<Tensor> tensors = new java.util.ArrayList<>();

    Temporaries(Device device) {
      this.device = device;
    }

    Tensor keep(Tensor tensor) {
      tensors.add(tensor);
      return tensor;
    }

    Tensor zeros(long rows, long cols) {
      return keep(Tensor.zeros(device, DType.F32, rows, cols));
    }

    /** The tensor itself where it is F32, otherwise a copy. */
    Tensor f32(Tensor tensor) {
      return tensor.dtype() == DType.F32 ? tensor : keep(tensor.to(DType.F32));
    }

    /** D∘x, materialised where anything is dropped. */
    Tensor dropped(Tensor x32, LoraAdapter adapter) {
      if (!adapter.isTraining() || adapter.config().dropout() == 0f) {
        return x32;
      }
      Tensor out = zeros(x32.rows(), x32.cols());
      LoraKernels.dropout(x32, adapter, out);
      return out;
    }

    @Override
    public void close() {
      tensors.forEach(Tensor::close);
    }
  }
}
