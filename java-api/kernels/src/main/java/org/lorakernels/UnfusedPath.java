package org.lorakernels;

/**
 * The honest baseline of the fused operations, with the same arguments and results: dequantise the
 * whole weight, one product of a vendor's BLAS for the base, two for the adapter, dropout and adds
 * as passes of their own. OpenBLAS computes with F32, so that 16-bit activations are widened first;
 * cuBLAS with the dtype of the activations. Temporaries are tensors, so {@link Device#memory} shows
 * what this path costs.
 */
final class UnfusedPath {
  private UnfusedPath() {}

  /** y = x Wᵀ + bias + scaling (D∘x) Aᵀ Bᵀ. */
  static void forward(Tensor x, Weight weight, Tensor bias, LoraAdapter adapter, Tensor y) {
    DenseProduct blas = DenseProduct.of("unfusedForward", x.device());
    if (y.elementCount() == 0) {
      return;
    }
    long m = x.rows();
    try (Temporaries t = new Temporaries(x.device(), blas.compute(x.dtype()))) {
      Tensor input = t.of(x);
      Tensor dense = t.keep(LoraKernels.dequantize(weight, t.dtype));
      Tensor sum = t.zeros(m, weight.rows());
      if (bias != null) {
        Tensor ones = t.zeros(m, 1);
        ones.fill(1f);
        blas.gemm(false, false, 1f, ones, t.of(bias), 0f, sum);
      }
      blas.gemm(false, true, 1f, input, dense, 1f, sum);
      Tensor s = t.zeros(m, adapter.rank());
      blas.gemm(false, true, 1f, t.dropped(input, adapter), t.of(adapter.a()), 0f, s);
      blas.gemm(false, true, adapter.scaling(), s, t.of(adapter.b()), 1f, sum);
      LoraKernels.convert(sum, y);
    }
  }

  /**
   * dB += scaling dyᵀ S; dA += dSᵀ (D∘x); dx = dy W + D∘(dS A); S = (D∘x) Aᵀ, dS = scaling dy B.
   */
  static void backward(Tensor x, Tensor dy, Weight weight, LoraAdapter adapter, Tensor dx) {
    DenseProduct blas = DenseProduct.of("unfusedBackward", x.device());
    if (x.elementCount() == 0 || dy.elementCount() == 0) {
      if (dx != null) {
        dx.fill(0f);
      }
      return;
    }
    long m = x.rows();
    try (Temporaries t = new Temporaries(x.device(), blas.compute(x.dtype()))) {
      Tensor output = t.of(dy);
      Tensor dropped = t.dropped(t.of(x), adapter);
      Tensor a = t.of(adapter.a());
      Tensor s = t.zeros(m, adapter.rank());
      blas.gemm(false, true, 1f, dropped, a, 0f, s);
      blas.gemm(true, false, adapter.scaling(), output, s, 1f, adapter.gradB());
      Tensor ds = t.zeros(m, adapter.rank());
      blas.gemm(false, false, adapter.scaling(), output, t.of(adapter.b()), 0f, ds);
      blas.gemm(true, false, 1f, ds, dropped, 1f, adapter.gradA());
      if (dx == null) {
        return;
      }
      Tensor dense = t.keep(LoraKernels.dequantize(weight, t.dtype));
      Tensor branch = t.zeros(m, weight.cols());
      blas.gemm(false, false, 1f, ds, a, 0f, branch);
      LoraKernels.dropout(branch, adapter, branch);
      blas.gemm(false, false, 1f, output, dense, 1f, branch);
      LoraKernels.convert(branch, dx);
    }
  }

  /** Tensors that end with an operation. */
  private static final class Temporaries implements AutoCloseable {
    private final Device device;
    private final DType dtype;
    private final java.util.List<Tensor> tensors = new java.util.ArrayList<>();

    Temporaries(Device device, DType dtype) {
      this.device = device;
      this.dtype = dtype;
    }

    Tensor keep(Tensor tensor) {
      tensors.add(tensor);
      return tensor;
    }

    Tensor zeros(long rows, long cols) {
      return keep(Tensor.zeros(device, dtype, rows, cols));
    }

    /** The tensor itself where it has the dtype that is computed with, otherwise a copy. */
    Tensor of(Tensor tensor) {
      return tensor.dtype() == dtype ? tensor : keep(tensor.to(dtype));
    }

    /** D∘x, materialised where anything is dropped. */
    Tensor dropped(Tensor x, LoraAdapter adapter) {
      if (!adapter.isTraining() || adapter.config().dropout() == 0f) {
        return x;
      }
      Tensor out = zeros(x.rows(), x.cols());
      LoraKernels.dropout(x, adapter, out);
      return out;
    }

    @Override
    public void close() {
      tensors.forEach(Tensor::close);
    }
  }
}
