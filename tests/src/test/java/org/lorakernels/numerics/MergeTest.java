package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.LoraOracle;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.Tolerance;

/** Merging and unmerging, on odd sizes: against float64, there and back, in place, and into NF4. */
class MergeTest {
  private static final int OUTPUTS = 45;
  private static final int INPUTS = 83;
  private static final int RANK = 11;

  @ParameterizedTest
  @EnumSource(Precision.class)
  void mergesWithOneRounding(Precision precision) {
    try (Scope scope = Scope.cpu()) {
      Layer layer = new Layer(scope, precision);
      Tensor merged = scope.own(LoraKernels.merge(layer.weight, layer.lora));
      Compare.close("merged", layer.exact(1), merged.toFloatArray(), layer.oneRounding());
      Tensor unmerged = scope.own(LoraKernels.unmerge(layer.weight, layer.lora));
      Compare.close("unmerged", layer.exact(-1), unmerged.toFloatArray(), layer.oneRounding());
    }
  }

  @ParameterizedTest
  @EnumSource(Precision.class)
  void unmergingRestoresTheWeight(Precision precision) {
    try (Scope scope = Scope.cpu()) {
      Layer layer = new Layer(scope, precision);
      Tensor merged = scope.own(LoraKernels.merge(layer.weight, layer.lora));
      Tensor restored = scope.own(LoraKernels.unmerge(merged, layer.lora));
      Compare.close("restored", layer.values, restored.toFloatArray(), layer.roundTrip());
    }
  }

  @Test
  void mergesInPlace() {
    try (Scope scope = Scope.cpu()) {
      Layer layer = new Layer(scope, Precision.F32);
      float[] expected = scope.own(LoraKernels.merge(layer.weight, layer.lora)).toFloatArray();
      LoraKernels.merge(layer.weight, layer.lora, layer.weight);
      assertArrayEquals(expected, layer.weight.toFloatArray());
    }
  }

  /** Merging into NF4 is dequantising, merging and quantising again, to the bit. */
  @Test
  void mergesIntoNf4LikeTheStepsItStandsFor() {
    try (Scope scope = Scope.cpu()) {
      Layer layer = new Layer(scope, Precision.F32);
      Nf4Tensor quantized = scope.own(LoraKernels.quantize(layer.weight, Nf4Format.plain()));
      Tensor dense = scope.own(LoraKernels.dequantize(quantized, DType.F32));
      Tensor merged = scope.own(LoraKernels.merge(dense, layer.lora));
      Nf4Tensor expected = scope.own(LoraKernels.quantize(merged, Nf4Format.plain()));
      Nf4Tensor actual = scope.own(LoraKernels.mergeQuantized(quantized, layer.lora));
      assertArrayEquals(Scope.bytes(expected.absmax()), Scope.bytes(actual.absmax()));
      assertArrayEquals(Scope.bytes(expected.packed()), Scope.bytes(actual.packed()));
      assertArrayEquals(
          merged.toFloatArray(),
          scope.own(LoraKernels.merge(quantized, layer.lora)).toFloatArray());
    }
  }

  private static final class Layer {
    private final Precision precision;
    private final Matrix values;
    private final LoraOracle oracle;
    private final Tensor weight;
    private final LoraAdapter lora;

    Layer(Scope scope, Precision precision) {
      this.precision = precision;
      Random random = new Random(23);
      values = Matrix.gaussian(OUTPUTS, INPUTS, 0.3, precision, random);
      Matrix a = Matrix.gaussian(RANK, INPUTS, 0.2, Precision.F32, random);
      Matrix b = Matrix.gaussian(OUTPUTS, RANK, 0.2, Precision.F32, random);
      weight = scope.tensor(values, precision);
      LoraConfig config = LoraConfig.rank(RANK).alpha(16).rsLora(true);
      lora =
          scope.own(
              LoraAdapter.of(
                  config, scope.tensor(a, Precision.F32), scope.tensor(b, Precision.F32)));
      oracle = new LoraOracle(values, null, a, b, lora.scaling(), null);
    }

    Matrix exact(double sign) {
      return values.plus(oracle.delta().scaled(sign));
    }

    /** The F32 sum of the delta and the weight, and the rounding of the result. */
    Tolerance oneRounding() {
      return Tolerance.ofTerms(
          1, sumError(), precision, "RANK + 3 F32 operations, one rounding to the dtype");
    }

    /**
     * The rounding of the merged weight at its own size, beside the two sums and the rounding back.
     */
    Tolerance roundTrip() {
      Matrix merging = exact(1).map(v -> 0.5 * precision.ulp(v)).plus(sumError().scaled(2));
      return Tolerance.ofTerms(
          1.001, merging, precision, "one rounding of the merged weight, one of the result");
    }

    private Matrix sumError() {
      LoraOracle magnitudes = oracle.magnitudes();
      return magnitudes
          .delta()
          .plus(values.abs())
          .scaled((RANK + 3) * Precision.F32.unitRoundoff());
    }
  }
}
