package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import java.util.Random;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.lorakernels.CodeBook;
import org.lorakernels.DType;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.oracle.FourBitOracle;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;

/**
 * Quantising and dequantising match the published rules bit for bit, for any shape, block size and
 * dtype.
 */
class QuantizePropertyTest {

  @Property(tries = 200, edgeCases = EdgeCasesMode.NONE)
  void matchesTheRules(
      @ForAll CodeBook codeBook,
      @ForAll Precision precision,
      @ForAll @IntRange(min = 5, max = 12) int blockBits,
      @ForAll @IntRange(min = 1, max = 40) int rows,
      @ForAll @IntRange(min = 1, max = 300) int cols,
      @ForAll long seed) {
    int blockSize = 1 << blockBits;
    Matrix source = withOutliers(Matrix.gaussian(rows, cols, 0.02, precision, new Random(seed)));
    FourBitOracle oracle = FourBitOracle.of(codeBook);
    FourBitOracle.Quantized expected = oracle.quantize(source.floats(), blockSize);
    Nf4Format format = Nf4Format.plain().withCodeBook(codeBook).withBlockSize(blockSize);
    try (Scope scope = Scope.cpu()) {
      Nf4Tensor actual = scope.own(LoraKernels.quantize(scope.tensor(source, precision), format));
      assertArrayEquals(expected.absmax(), actual.absmax().toFloatArray(), "absmax");
      assertArrayEquals(expected.packed(), Scope.bytes(actual.packed()), "packed");

      float[] exact =
          oracle.dequantize(expected.packed(), expected.absmax(), blockSize, rows * cols);
      for (Precision out : Precision.values()) {
        float[] values = scope.own(LoraKernels.dequantize(actual, out.dtype())).toFloatArray();
        assertArrayEquals(out.round(Precision.widen(exact)), values, "dequantised to " + out);
      }
    }
  }

  /** Rows read through a stride are those of the contiguous copy. */
  @Property(tries = 20)
  void slicesQuantizeLikeCopies(@ForAll @IntRange(min = 2, max = 30) int rows, @ForAll long seed) {
    Matrix source = Matrix.gaussian(rows, 96, 1, Precision.F32, new Random(seed));
    try (Scope scope = Scope.cpu()) {
      var part = scope.own(scope.tensor(source, Precision.F32).slice(1, rows));
      var copy = scope.own(part.copy());
      Nf4Tensor fromSlice = scope.own(LoraKernels.quantize(part, Nf4Format.plain()));
      Nf4Tensor fromCopy = scope.own(LoraKernels.quantize(copy, Nf4Format.plain()));
      assertArrayEquals(Scope.bytes(fromCopy.packed()), Scope.bytes(fromSlice.packed()));
      float[] expected = Arrays.copyOfRange(source.floats(), 96, 96 * rows);
      assertArrayEquals(expected, scope.own(part.to(DType.F32)).toFloatArray());
    }
  }

  /** Every 50th value a hundred times as large, every 77th zero. */
  private static Matrix withOutliers(Matrix source) {
    double[] values = source.values().clone();
    for (int i = 0; i < values.length; i += 50) values[i] *= 128;
    for (int i = 0; i < values.length; i += 77) values[i] = 0;
    return new Matrix(source.rows(), source.cols(), values);
  }
}
