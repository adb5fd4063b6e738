package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.DType;
import org.lorakernels.TruncatedSvd;
import org.lorakernels.TruncatedSvd.Method;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.Tolerance;

/** SVD of matrices of a known one: Q diag(s) Pᵀ with orthonormal Q and P. */
class TruncatedSvdTest {
  private static final double[] VALUES = {9, 5, 3, 2, 1};

  /** Columns made orthonormal in float64, twice, so that they are. */
  private static Matrix orthonormal(int rows, int cols, Random random) {
    double[] q = Matrix.gaussian(rows, cols, 1, Precision.F32, random).values();
    for (int pass = 0; pass < 2; pass++) {
      for (int j = 0; j < cols; j++) {
        for (int i = 0; i < j; i++) {
          double dot = 0;
          for (int r = 0; r < rows; r++) dot += q[r * cols + i] * q[r * cols + j];
          for (int r = 0; r < rows; r++) q[r * cols + j] -= dot * q[r * cols + i];
        }
        double norm = 0;
        for (int r = 0; r < rows; r++) norm += q[r * cols + j] * q[r * cols + j];
        for (int r = 0; r < rows; r++) q[r * cols + j] /= Math.sqrt(norm);
      }
    }
    return new Matrix(rows, cols, q);
  }

  private static Matrix cut(Matrix q, Matrix p, int rank) {
    Matrix scaled = Matrix.zeros(q.rows(), rank);
    Matrix right = Matrix.zeros(p.rows(), rank);
    for (int j = 0; j < rank; j++) {
      for (int i = 0; i < q.rows(); i++) scaled.values()[i * rank + j] = VALUES[j] * q.at(i, j);
      for (int i = 0; i < p.rows(); i++) right.values()[i * rank + j] = p.at(i, j);
    }
    return scaled.timesTransposed(right);
  }

  private static void check(TruncatedSvd svd, Matrix q, Matrix p, int rank) {
    Matrix u = Matrix.of(q.rows(), rank, svd.u().toFloatArray());
    float[] values = svd.singularValues();
    for (int i = 0; i < u.values().length; i++) u.values()[i] *= values[i % rank];
    Matrix product = u.times(Matrix.of(rank, p.rows(), svd.vt().toFloatArray()));
    Tolerance tolerance = Tolerance.absolute(9 * 3e-6, "F32 arithmetic at the size of the largest");
    Compare.close("cut", cut(q, p, Math.min(rank, VALUES.length)), product.floats(), tolerance);
    for (int i = 0; i < rank; i++) {
      assertEquals(i < VALUES.length ? VALUES[i] : 0, values[i], 9 * 3e-6, "value " + i);
    }
  }

  @ParameterizedTest
  @EnumSource(Method.class)
  void cutsAMatrix(Method method) {
    Random random = new Random(3);
    for (int[] shape : new int[][] {{90, 61}, {57, 130}, {5, 7}}) {
      Matrix q = orthonormal(shape[0], VALUES.length, random);
      Matrix p = orthonormal(shape[1], VALUES.length, random);
      float[] matrix = cut(q, p, VALUES.length).floats();
      for (int rank : new int[] {1, 3, 5, 8}) {
        try (Scope scope = Scope.cpu()) {
          var tensor = scope.zeros(DType.F32, shape[0], shape[1]);
          tensor.copyFrom(matrix);
          try (TruncatedSvd svd = TruncatedSvd.of(tensor, rank, method)) {
            check(svd, q, p, rank);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"40, 70, 5", "70, 40, 9", "9, 9, 9"})
  void cutsAProduct(int rows, int cols, int inner) {
    Random random = new Random(4);
    Matrix q = orthonormal(rows, VALUES.length, random);
    Matrix p = orthonormal(cols, VALUES.length, random);
    // Q diag(s) M and M⁻¹ Pᵀ for an orthonormal M [5, inner]ᵀ
    Matrix turn = orthonormal(inner, VALUES.length, random);
    Matrix scaled = Matrix.zeros(rows, VALUES.length);
    for (int i = 0; i < scaled.values().length; i++) {
      scaled.values()[i] = q.values()[i] * VALUES[i % VALUES.length];
    }
    try (Scope scope = Scope.cpu()) {
      var left = scope.zeros(DType.F32, rows, inner);
      left.copyFrom(scaled.timesTransposed(turn).floats());
      var right = scope.zeros(DType.F32, inner, cols);
      right.copyFrom(turn.times(p.transposed()).floats());
      for (int rank : new int[] {2, 5, 11}) {
        try (TruncatedSvd svd = TruncatedSvd.ofProduct(left, right, rank)) {
          check(svd, q, p, rank);
        }
      }
    }
  }
}
