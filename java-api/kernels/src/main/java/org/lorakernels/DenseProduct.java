package org.lorakernels;

/**
 * Products of dense matrices by a vendor's library, as the unfused path needs them. What is
 * computed with: F32 on the CPU, the dtype of the activations on a GPU, where 16-bit products run
 * on tensor cores; sums are F32 in both.
 */
interface DenseProduct {
  /**
   * The library of a device, loaded.
   *
   * @throws BackendUnavailableException where it is absent, with every cause
   */
  static DenseProduct of(String operation, Device device) {
    if (device.backend() == Backend.CUDA) {
      return CuBlas.open(operation, device);
    }
    Blas.ensure(operation, device);
    return Blas::gemm;
  }

  /** What activations of this dtype are multiplied in. */
  default DType compute(DType activations) {
    return DType.F32;
  }

  /**
   * c [m, n] = alpha op(a) op(b) + beta c.
   *
   * @param a [m, k], or [k, m] where it is transposed
   * @param b [k, n], or [n, k] where it is transposed; dtype of a
   * @param c dtype of a, or F32
   */
  void gemm(
      boolean transposeA,
      boolean transposeB,
      float alpha,
      Tensor a,
      Tensor b,
      float beta,
      Tensor c);
}
