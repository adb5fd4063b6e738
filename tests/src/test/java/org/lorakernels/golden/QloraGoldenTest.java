package org.lorakernels.golden;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.lorakernels.CodeBook;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.FourBitOracle;
import org.lorakernels.oracle.LoraOracle;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.TestDevice;
import org.lorakernels.oracle.Tolerance;

/**
 * LoRA on NF4 weights against PEFT on bitsandbytes' Linear4bit: forward, backward, and merging back
 * into NF4.
 */
@Tag(TestDevice.TAG)
class QloraGoldenTest implements GoldenSuite {
  private static final GoldenFile FILE = GoldenFile.open("lora/linear4bit.safetensors");
  private static final Tolerance SUMS = Tolerance.ofMax(2e-6, "sums in F32, another order");
  private static final Tolerance SCALES =
      Tolerance.relative(1e-6, 0, "the order of sums in delta and offset");

  @Override
  @TestFactory
  public Stream<DynamicTest> cases() {
    return FILE.cases().stream().map(golden -> dynamicTest(golden.id(), () -> run(golden)));
  }

  private void run(GoldenCase golden) {
    try (Scope scope = Scope.open()) {
      Nf4Tensor weight = scope.own(LoraKernels.quantize(input(scope, golden, "W"), format(golden)));
      Compare.identical(
          "packed", FILE.get(golden.id() + ".packed").bytes(), Scope.bytes(weight.packed()), 1);
      Compare.close(
          "absmax", FILE.get(golden.id() + ".absmax_f32").doubles(), scales(weight), SCALES);

      LoraConfig config =
          LoraConfig.rank(golden.integer("r")).alpha((float) golden.number("lora_alpha"));
      LoraAdapter adapter =
          scope.own(LoraAdapter.of(config, input(scope, golden, "A"), input(scope, golden, "B")));
      Tensor x = input(scope, golden, "x");
      compare(golden, "y", scope.own(LoraKernels.fusedForward(x, weight, adapter)));
      compare(
          golden,
          "dx",
          scope.own(LoraKernels.fusedBackward(x, input(scope, golden, "gy"), weight, adapter)));
      compare(golden, "dA", adapter.gradA());
      compare(golden, "dB", adapter.gradB());
      checkMerged(
          golden, scope.own(LoraKernels.mergeQuantized(weight, adapter)), adapter.scaling());
    }
  }

  /**
   * A code may differ by one where its value is within 1e-6 of a decision midpoint, in at most 0.1
   * % of the codes: there the order of the sum in delta decides.
   */
  private static void checkMerged(GoldenCase golden, Nf4Tensor merged, double scaling) {
    float[] scales = scales(merged);
    Compare.close(
        "merged absmax", FILE.get(golden.id() + ".merged.absmax_f32").doubles(), scales, SCALES);

    byte[] expected = FILE.get(golden.id() + ".merged.packed").bytes();
    byte[] actual = Scope.bytes(merged.packed());
    Matrix exact = mergedInFloat64(golden, scaling);
    FourBitOracle nf4 = FourBitOracle.of(CodeBook.NF4);
    int blockSize = merged.format().blockSize();
    int differing = 0;
    for (int i = 0; i < exact.values().length; i++) {
      int distance = Math.abs(FourBitOracle.code(expected, i) - FourBitOracle.code(actual, i));
      if (distance == 0) continue;
      differing++;
      double normalised = exact.values()[i] / largestInBlock(exact.values(), i, blockSize);
      assertTrue(
          distance == 1 && nf4.distanceToMidpoint(normalised) <= 1e-6,
          "code " + i + " is off by " + distance + " at " + normalised);
    }
    assertTrue(differing <= exact.values().length / 1000, differing + " codes differ");
  }

  private static Matrix mergedInFloat64(GoldenCase golden, double scaling) {
    byte[] packed = FILE.get(golden.id() + ".packed").bytes();
    float[] absmax = FILE.get(golden.id() + ".absmax_f32").floats();
    int rows = golden.integer("out_features");
    int cols = golden.integer("in_features");
    float[] base =
        FourBitOracle.of(CodeBook.NF4).dequantize(packed, absmax, blockSize(golden), rows * cols);
    Matrix a = matrix(golden, "A");
    Matrix b = matrix(golden, "B");
    Matrix weight = Matrix.of(rows, cols, base);
    return weight.plus(new LoraOracle(weight, null, a, b, scaling, null).delta());
  }

  private static double largestInBlock(double[] values, int i, int blockSize) {
    int from = i / blockSize * blockSize;
    double largest = 0;
    for (int j = from; j < Math.min(from + blockSize, values.length); j++) {
      largest = Math.max(largest, Math.abs(values[j]));
    }
    return largest;
  }

  /** The scale of every block, by the formula. */
  private static float[] scales(Nf4Tensor weight) {
    if (!weight.format().isDoubleQuantized()) return weight.absmax().toFloatArray();
    return FourBitOracle.scales(
        Scope.bytes(weight.absmax()), weight.nestedAbsmax().toFloatArray(), weight.nestedOffset());
  }

  private static void compare(GoldenCase golden, String name, Tensor actual) {
    Compare.close(name, FILE.get(golden.id() + "." + name).doubles(), actual.toFloatArray(), SUMS);
  }

  private static int blockSize(GoldenCase golden) {
    return golden.integer("blocksize", 64);
  }

  private static Nf4Format format(GoldenCase golden) {
    Nf4Format format = golden.flag("nested") ? Nf4Format.doubleQuantized() : Nf4Format.plain();
    return format.withBlockSize(blockSize(golden));
  }

  private static Matrix matrix(GoldenCase golden, String name) {
    GoldenTensor tensor = FILE.get(golden.id() + "." + name);
    return Matrix.of((int) tensor.shape()[0], (int) tensor.shape()[1], tensor.floats());
  }

  private static Tensor input(Scope scope, GoldenCase golden, String name) {
    return scope.tensor(matrix(golden, name), Precision.F32);
  }
}
