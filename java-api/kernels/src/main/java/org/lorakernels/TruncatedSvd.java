package org.lorakernels;

import java.util.Random;

/**
 * The largest singular values and vectors of a matrix: M [N, K] is about U diag(S) Vᵀ with U [N,
 * rank], S [rank] and Vᵀ [rank, K]. Owns the three. Computed by OpenBLAS' LAPACK on the CPU.
 *
 * <p>Where rank exceeds min(N, K), the columns and values beyond are zero.
 */
public final class TruncatedSvd implements AutoCloseable {
  /** Columns that the randomised method takes beyond the rank, and how often it multiplies. */
  private static final int OVERSAMPLING = 16;

  private static final int POWER_ITERATIONS = 4;

  /** Below this a full decomposition takes less than a second. */
  private static final long SMALL = 512;

  /** How to compute. */
  public enum Method {
    /**
     * Full decomposition (LAPACK's gesdd) of matrices with a side of at most 512 and for ranks
     * above an eighth of the smaller side; otherwise randomised.
     */
    AUTOMATIC,
    /** Full decomposition, then the largest of it. */
    FULL,
    /**
     * Randomised with 16 more columns than the rank and 4 power iterations (Halko, Martinsson and
     * Tropp 2011, arXiv:0909.4061). Exact up to rounding where the matrix has no higher rank;
     * otherwise a singular value that stands out by a factor f from the rest is off by about f^-9.
     * The same result every time.
     */
    RANDOMIZED
  }

  private final Tensor u;
  private final float[] values;
  private final Tensor vt;

  private TruncatedSvd(Tensor u, float[] values, Tensor vt) {
    this.u = u;
    this.values = values;
    this.vt = vt;
  }

  /**
   * Decomposes a matrix.
   *
   * @param matrix [N, K], F32, BF16 or F16, on a CPU device; every value finite
   * @param rank at least 1
   * @param method how
   * @throws BackendUnavailableException where {@code org.bytedeco:openblas} is not on the class
   *     path
   * @throws LoraKernelsException where a value is not finite
   */
  public static TruncatedSvd of(Tensor matrix, int rank, Method method) {
    String operation = "TruncatedSvd.of";
    require(operation, matrix, rank);
    long smaller = Math.min(matrix.rows(), matrix.cols());
    boolean low = (rank + OVERSAMPLING) * 8L <= smaller;
    boolean randomized =
        switch (method) {
          case FULL -> false;
          case RANDOMIZED -> rank + OVERSAMPLING < smaller;
          case AUTOMATIC -> low && smaller > SMALL;
        };
    try (Tensor copy = matrix.to(DType.F32)) {
      return randomized ? randomized(copy, rank) : full(copy, rank);
    }
  }

  /**
   * Decomposes a product without making it: exact, and as cheap as its factors are small.
   *
   * @param left [N, R], F32
   * @param right [R, K], F32; R is at most min(N, K)
   * @param rank at least 1
   */
  public static TruncatedSvd ofProduct(Tensor left, Tensor right, int rank) {
    String operation = "TruncatedSvd.ofProduct";
    require(operation, left, rank);
    require(operation, right, rank);
    long inner = right.rows();
    if (left.cols() != inner || inner > Math.min(left.rows(), right.cols())) {
      throw new ShapeMismatchException(
          operation
              + ": left must be [N, R] and right [R, K] with R at most N and K, but are "
              + left
              + " and "
              + right);
    }
    Device device = left.device();
    try (Tensor rowsOfLeft = transposed(left);
        Tensor rowsOfRight = right.to(DType.F32);
        Tensor innerLeft = Tensor.zeros(device, DType.F32, inner, inner);
        Tensor innerRight = Tensor.zeros(device, DType.F32, inner, inner);
        Tensor core = Tensor.zeros(device, DType.F32, inner, inner)) {
      Blas.orthonormalizeRows(rowsOfLeft);
      Blas.orthonormalizeRows(rowsOfRight);
      Blas.gemm(false, false, 1f, rowsOfLeft, left, 0f, innerLeft);
      Blas.gemm(false, true, 1f, right, rowsOfRight, 0f, innerRight);
      Blas.gemm(false, false, 1f, innerLeft, innerRight, 0f, core);
      try (TruncatedSvd small = full(core, rank)) {
        Tensor u = Tensor.zeros(device, DType.F32, left.rows(), rank);
        Tensor vt = Tensor.zeros(device, DType.F32, rank, right.cols());
        Blas.gemm(true, false, 1f, rowsOfLeft, small.u, 0f, u);
        Blas.gemm(false, false, 1f, small.vt, rowsOfRight, 0f, vt);
        return new TruncatedSvd(u, small.values, vt);
      }
    }
  }

  private static void require(String operation, Tensor matrix, int rank) {
    Checks.requireFloat(operation, "matrix", matrix);
    if (rank < 1 || matrix.elementCount() == 0) {
      throw new InvalidArgumentException(
          operation
              + ": rank must be at least 1 and the matrix not empty, but are "
              + rank
              + " and "
              + matrix);
    }
    Blas.ensure(operation, matrix.device());
  }

  private static Tensor transposed(Tensor matrix) {
    int rows = Math.toIntExact(matrix.rows());
    int cols = Math.toIntExact(matrix.cols());
    float[] values = matrix.toFloatArray();
    float[] turned = new float[values.length];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < cols; j++) {
        turned[j * rows + i] = values[i * cols + j];
      }
    }
    return Tensor.of(matrix.device(), turned, cols, rows);
  }

  /** Destroys {@code matrix}. */
  private static TruncatedSvd full(Tensor matrix, int rank) {
    Device device = matrix.device();
    long n = matrix.rows();
    long k = matrix.cols();
    long smaller = Math.min(n, k);
    long taken = Math.min(rank, smaller);
    try (Tensor allU = Tensor.zeros(device, DType.F32, n, smaller);
        Tensor allValues = Tensor.zeros(device, DType.F32, smaller);
        Tensor allVt = Tensor.zeros(device, DType.F32, smaller, k)) {
      Blas.svd(matrix, allU, allValues, allVt);
      Tensor u = Tensor.zeros(device, DType.F32, n, rank);
      Tensor vt = Tensor.zeros(device, DType.F32, rank, k);
      try (Tensor fromU = allU.columns(0, taken);
          Tensor toU = u.columns(0, taken);
          Tensor fromVt = allVt.slice(0, taken);
          Tensor toVt = vt.slice(0, taken)) {
        toU.copyFrom(fromU);
        toVt.copyFrom(fromVt);
      }
      float[] values = new float[rank];
      System.arraycopy(allValues.toFloatArray(), 0, values, 0, (int) taken);
      return new TruncatedSvd(u, values, vt);
    }
  }

  private static TruncatedSvd randomized(Tensor matrix, int rank) {
    Device device = matrix.device();
    int sampled = rank + OVERSAMPLING;
    try (Tensor right = gaussian(device, sampled, matrix.cols());
        Tensor left = Tensor.zeros(device, DType.F32, sampled, matrix.rows())) {
      for (int i = 0; i <= POWER_ITERATIONS; i++) {
        Blas.gemm(false, true, 1f, right, matrix, 0f, left);
        Blas.orthonormalizeRows(left);
        Blas.gemm(false, false, 1f, left, matrix, 0f, right);
        if (i < POWER_ITERATIONS) {
          Blas.orthonormalizeRows(right);
        }
      }
      try (TruncatedSvd small = full(right, rank)) {
        Tensor u = Tensor.zeros(device, DType.F32, matrix.rows(), rank);
        Blas.gemm(true, false, 1f, left, small.u, 0f, u);
        return new TruncatedSvd(u, small.values, small.vt.copy());
      }
    }
  }

  private static Tensor gaussian(Device device, long rows, long cols) {
    Random random = new Random(0);
    float[] values = new float[Math.toIntExact(rows * cols)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(device, values, rows, cols);
  }

  /** The left singular vectors, F32 [N, rank]; owned by this object. */
  public Tensor u() {
    return u;
  }

  /** The singular values, descending; a copy. */
  public float[] singularValues() {
    return values.clone();
  }

  /** The right singular vectors, F32 [rank, K]; owned by this object. */
  public Tensor vt() {
    return vt;
  }

  @Override
  public void close() {
    u.close();
    vt.close();
  }
}
