package org.lorakernels.golden;

import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.lorakernels.DType;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.TestDevice;
import org.lorakernels.oracle.Tolerance;

/** y = x W^T and gx = gy W on NF4 weights against bitsandbytes, in F32 and BF16. */
@Tag(TestDevice.TAG)
class MatmulGoldenTest implements GoldenSuite {
  private static final GoldenFile FILE = GoldenFile.open("nf4/matmul.safetensors");

  private static final Map<Precision, String> SUFFIX =
      Map.of(Precision.F32, "f32", Precision.BF16, "bf16");

  @Override
  @TestFactory
  public Stream<DynamicTest> cases() {
    return FILE.cases().stream()
        .flatMap(
            golden ->
                Stream.of(Precision.F32, Precision.BF16)
                    .map(p -> dynamicTest(golden.id() + " in " + p, () -> multiplies(golden, p))));
  }

  private void multiplies(GoldenCase golden, Precision precision) {
    try (Scope scope = Scope.open()) {
      Nf4Tensor weight = weight(scope, golden);
      int rows = golden.integer("M");
      Tensor y = scope.own(LoraKernels.matmul(input(scope, golden, "x", precision), weight));
      compare(golden.id() + ".y_" + SUFFIX.get(precision), y, rows, precision);
      Tensor gx =
          scope.own(LoraKernels.matmulTransposed(input(scope, golden, "gy", precision), weight));
      compare(golden.id() + ".gx_" + SUFFIX.get(precision), gx, rows, precision);
    }
  }

  private static void compare(String name, Tensor actual, int rows, Precision precision) {
    double[] expected = FILE.get(name).doubles();
    Tolerance tolerance =
        precision == Precision.F32
            ? Tolerance.ofRowNorm(2e-6, expected.length / rows, "sums in F32")
            : Tolerance.ofMax(1e-2, "one BF16 ulp of the result, weights rounded to BF16");
    Compare.close(name, expected, actual.toFloatArray(), tolerance);
  }

  /** The codes and the (already dequantised) absmax that the library multiplied with. */
  private static Nf4Tensor weight(Scope scope, GoldenCase golden) {
    byte[] packed = FILE.get(golden.id() + ".packed").bytes();
    return scope.own(
        Nf4Tensor.of(
            Nf4Format.plain().withBlockSize(golden.integer("blocksize", 64)),
            DType.F32,
            new long[] {golden.integer("N"), golden.integer("K")},
            scope.bytes(DType.U8, packed, packed.length, 1),
            scope.tensor(FILE.get(golden.id() + ".absmax_f32")),
            null,
            null,
            0));
  }

  private static Tensor input(Scope scope, GoldenCase golden, String name, Precision precision) {
    GoldenTensor input = FILE.get(golden.id() + "." + name);
    int rows = golden.integer("M");
    return scope.tensor(
        Matrix.of(rows, input.count() / rows, input.floats()).rounded(precision), precision);
  }
}
