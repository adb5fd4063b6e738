package org.lorakernels;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;

import org.bytedeco.javacpp.Loader;
import org.bytedeco.openblas.global.openblas;
import org.bytedeco.openblas.global.openblas_nolapack;

/**
 * OpenBLAS with LAPACK, an optional dependency: loaded on first use, and reported as absent where
 * it is not on the class path.
 */
final class Blas {
  private static final OptionalLibrary OPENBLAS =
      new OptionalLibrary(
          "OpenBLAS is not on the class path",
          "add org.bytedeco:openblas and the same with the classifier " + Loader.getPlatform(),
          () -> {
            Loader.load(openblas_nolapack.class);
            Loader.load(openblas.class);
          });

  private Blas() {}

  /** Throws where OpenBLAS is absent or the device is none of host memory; sets its threads. */
  static void ensure(String operation, Device device) {
    if (device.backend() != Backend.CPU) {
      throw new UnsupportedException(operation + ": needs a CPU device, but is on " + device);
    }
    OPENBLAS.require(operation);
    openblas_nolapack.blas_set_num_threads(LoraKernels.numThreads());
  }

  /** c [m, n] = alpha op(a) op(b) + beta c, all F32. */
  static void gemm(
      boolean transposeA,
      boolean transposeB,
      float alpha,
      Tensor a,
      Tensor b,
      float beta,
      Tensor c) {
    long k = transposeA ? a.rows() : a.cols();
    NativeOwner.acquireAll("BLAS", a, b, c, null, null);
    try {
      openblas_nolapack.cblas_sgemm(
          CblasRowMajor,
          transposeA ? CblasTrans : CblasNoTrans,
          transposeB ? CblasTrans : CblasNoTrans,
          Math.toIntExact(c.rows()),
          Math.toIntExact(c.cols()),
          Math.toIntExact(k),
          alpha,
          a.asFloatPointer(),
          Math.toIntExact(a.rowStride()),
          b.asFloatPointer(),
          Math.toIntExact(b.rowStride()),
          beta,
          c.asFloatPointer(),
          Math.toIntExact(c.rowStride()));
    } finally {
      NativeOwner.releaseAll(a, b, c, null, null);
    }
  }

  /**
   * Makes the rows of a contiguous F32 matrix [l, m], l at most m, an orthonormal basis of what
   * they span (Householder QR of its transpose).
   */
  static void orthonormalizeRows(Tensor matrix) {
    int l = Math.toIntExact(matrix.rows());
    int m = Math.toIntExact(matrix.cols());
    matrix.acquireUse("QR");
    try (Tensor tau = Tensor.zeros(matrix.device(), DType.F32, l)) {
      // Row-major [l, m] is column-major [m, l].
      requireDone(
          "sgeqrf",
          openblas.LAPACKE_sgeqrf(
              openblas.LAPACK_COL_MAJOR, m, l, matrix.asFloatPointer(), m, tau.asFloatPointer()));
      requireDone(
          "sorgqr",
          openblas.LAPACKE_sorgqr(
              openblas.LAPACK_COL_MAJOR,
              m,
              l,
              l,
              matrix.asFloatPointer(),
              m,
              tau.asFloatPointer()));
    } finally {
      matrix.releaseUse();
    }
  }

  /**
   * matrix = u diag(values) vt.
   *
   * @param matrix F32 [n, k], contiguous; destroyed
   * @param u F32 [n, min(n, k)]
   * @param values F32 [min(n, k)], descending
   * @param vt F32 [min(n, k), k]
   */
  static void svd(Tensor matrix, Tensor u, Tensor values, Tensor vt) {
    int n = Math.toIntExact(matrix.rows());
    int k = Math.toIntExact(matrix.cols());
    int rank = Math.min(n, k);
    NativeOwner.acquireAll("SVD", matrix, u, values, vt, null);
    try {
      // Row-major [n, k] is column-major [k, n], the transpose, whose left factor is v and right u.
      requireDone(
          "sgesdd",
          openblas.LAPACKE_sgesdd(
              openblas.LAPACK_COL_MAJOR,
              (byte) 'S',
              k,
              n,
              matrix.asFloatPointer(),
              k,
              values.asFloatPointer(),
              vt.asFloatPointer(),
              k,
              u.asFloatPointer(),
              rank));
    } finally {
      NativeOwner.releaseAll(matrix, u, values, vt, null);
    }
  }

  private static void requireDone(String routine, int info) {
    if (info != 0) {
      throw new LoraKernelsException(
          "SVD: LAPACK's "
              + routine
              + (info < 0
                  ? " refused its argument " + -info + ": the matrix must be finite"
                  : " did not converge (" + info + ")")
              + "; check the adapters for values that are not finite");
    }
  }
}
