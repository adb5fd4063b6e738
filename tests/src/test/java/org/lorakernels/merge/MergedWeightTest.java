package org.lorakernels.merge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.lorakernels.ClosedException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;
import org.lorakernels.merge.Adapters.Shape;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.Tolerance;

/** Adapters into one weight and out again. */
class MergedWeightTest {
  private static List<LoraAdapter> adapters(Scope scope, int rows, int cols, int count) {
    return java.util.stream.IntStream.range(0, count)
        .mapToObj(
            i ->
                scope.own(
                    Adapters.random(scope.device(), new Shape(rows, cols), LoraConfig.rank(3), i)))
        .toList();
  }

  private static Tensor weight(Scope scope, int rows, int cols, Precision precision, long seed) {
    Matrix values = Matrix.gaussian(rows, cols, 0.5, precision, new Random(seed));
    return scope.tensor(values, precision);
  }

  @Property(tries = 20)
  void aDenseWeightComesBackWithinTheRoundingOfTheMergedOne(
      @ForAll @IntRange(min = 1, max = 40) int rows,
      @ForAll @IntRange(min = 1, max = 70) int cols,
      @ForAll @IntRange(min = 1, max = 3) int count,
      @ForAll Precision precision,
      @ForAll long seed) {
    try (Scope scope = Scope.cpu()) {
      Tensor base = weight(scope, rows, cols, precision, seed);
      try (MergedWeight merged =
              MergedWeight.merge(base, adapters(scope, rows, cols, count), false);
          Weight restored = merged.unmerge()) {
        Compare.close(
            "restored",
            Precision.widen(base.toFloatArray()),
            ((Tensor) restored).toFloatArray(),
            Tolerance.absolute(
                1.5 * precision.ulp(4) + 8 * 0x1p-22,
                "one rounding of the merged weight, one of the result, sums in F32; all below 4"));
      }
    }
  }

  @Property(tries = 20)
  void aKeptWeightComesBackToTheBit(
      @ForAll @IntRange(min = 1, max = 40) int rows,
      @ForAll @IntRange(min = 1, max = 70) int cols,
      @ForAll @IntRange(min = 1, max = 3) int count,
      @ForAll Precision precision,
      @ForAll boolean quantized,
      @ForAll boolean nested,
      @ForAll long seed) {
    try (Scope scope = Scope.cpu()) {
      Tensor dense = weight(scope, rows, cols, precision, seed);
      Nf4Format format = nested ? Nf4Format.doubleQuantized() : Nf4Format.plain();
      Weight base = quantized ? scope.own(LoraKernels.quantize(dense, format)) : dense;
      try (MergedWeight merged =
              MergedWeight.merge(base, adapters(scope, rows, cols, count), true);
          Weight restored = merged.unmerge()) {
        try (Tensor expected = LoraKernels.dequantize(base, base.sourceDtype());
            Tensor actual = LoraKernels.dequantize(restored, base.sourceDtype())) {
          assertArrayEquals(Scope.bytes(expected), Scope.bytes(actual));
        }
        if (base instanceof Nf4Tensor before) {
          assertArrayEquals(
              Scope.bytes(before.packed()), Scope.bytes(((Nf4Tensor) restored).packed()));
        }
      }
    }
  }

  /** Several adapters are added in F32 and rounded once, whatever the dtype of the weight. */
  @Property(tries = 10)
  void severalAdaptersAreRoundedOnce(@ForAll Precision precision, @ForAll long seed) {
    try (Scope scope = Scope.cpu()) {
      Tensor base = weight(scope, 17, 33, precision, seed);
      List<LoraAdapter> adapters = adapters(scope, 17, 33, 2);
      Matrix expected = Matrix.of(17, 33, base.toFloatArray());
      for (LoraAdapter adapter : adapters) {
        Matrix a = Matrix.of(3, 33, adapter.a().toFloatArray());
        expected = expected.plus(Matrix.of(17, 3, adapter.b().toFloatArray()).times(a));
      }
      try (MergedWeight merged = MergedWeight.merge(base, adapters, false)) {
        Compare.close(
            "merged",
            expected,
            ((Tensor) merged.weight()).toFloatArray(),
            Tolerance.absolute(
                0.5 * precision.ulp(2) + 8 * 0x1p-23, "one rounding, sums in F32; all below 4"));
      }
    }
  }

  @Property(tries = 1)
  void refusesNothingAndUseAfterwards() {
    try (Scope scope = Scope.cpu()) {
      Tensor base = weight(scope, 4, 5, Precision.F32, 1);
      assertThrows(
          InvalidArgumentException.class, () -> MergedWeight.merge(base, List.of(), false));
      MergedWeight merged = MergedWeight.merge(base, adapters(scope, 4, 5, 1), true);
      merged.unmerge().close();
      assertThrows(ClosedException.class, merged::weight);
      assertThrows(ClosedException.class, merged::unmerge);
      merged.close();
      MergedWeight closed = MergedWeight.merge(base, adapters(scope, 4, 5, 1), true);
      closed.close();
      closed.close();
      assertThrows(ClosedException.class, closed::weight);
    }
  }
}
