package org.lorakernels.golden;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.lorakernels.CodeBook;
import org.lorakernels.DType;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.FourBitOracle;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.TestDevice;
import org.lorakernels.oracle.Tolerance;

/**
 * NF4 and FP4 against what bitsandbytes wrote: codes, absmax and dequantised values bit for bit in
 * every case, double quantisation within the rounding of one mean.
 */
@Tag(TestDevice.TAG)
class FourBitGoldenTest implements GoldenSuite {
  private static final GoldenFile FILE = GoldenFile.open("nf4/quant.safetensors");
  private static final GoldenFile TABLES = GoldenFile.open("nf4/tables.safetensors");

  /** The mean of the absmax values depends on the order of its sum. */
  private static final Tolerance OFFSET =
      Tolerance.relative(3e-7, 0, "another order of the sum in the mean");

  @Override
  @TestFactory
  public Stream<DynamicTest> cases() {
    return FILE.cases().stream().flatMap(this::testsOf);
  }

  @Test
  void codeBooksAreTheStandardOnes() {
    assertArrayEquals(TABLES.get("nf4_code").floats(), Nf4Format.plain().codeValues());
    assertArrayEquals(
        TABLES.get("fp4_code").floats(), Nf4Format.plain().withCodeBook(CodeBook.FP4).codeValues());
    assertArrayEquals(TABLES.get("dynamic_signed_256").floats(), Nf4Format.dynamicMap());
  }

  private Stream<DynamicTest> testsOf(GoldenCase golden) {
    String id = golden.id();
    DynamicTest quantize = dynamicTest(id + ": quantise", () -> quantizesExactly(golden));
    Stream<DynamicTest> dequantize =
        outputs(id + ".dequant.")
            .map(
                dtype ->
                    dynamicTest(id + ": dequantise to " + dtype, () -> dequantizes(golden, dtype)));
    Stream<DynamicTest> nested =
        FILE.has(id + ".nested.offset")
            ? Stream.of(
                dynamicTest(id + ": double quantisation", () -> quantizesTwice(golden)),
                dynamicTest(
                    id + ": dequantise double quantisation", () -> dequantizesTwice(golden)))
            : Stream.empty();
    return Stream.concat(Stream.of(quantize), Stream.concat(dequantize, nested));
  }

  private void quantizesExactly(GoldenCase golden) {
    try (Scope scope = Scope.open()) {
      Tensor input = scope.tensor(FILE.get(golden.id() + ".input"));
      Nf4Tensor quantized = scope.own(LoraKernels.quantize(input, format(golden)));
      Compare.identical(
          "packed", FILE.get(golden.id() + ".packed").bytes(), Scope.bytes(quantized.packed()), 1);
      Compare.identical(
          "absmax", FILE.get(golden.id() + ".absmax").bytes(), Scope.bytes(quantized.absmax()), 4);
    }
  }

  private void dequantizes(GoldenCase golden, DType dtype) {
    try (Scope scope = Scope.open()) {
      Nf4Tensor weight =
          scope.own(
              Nf4Tensor.of(
                  format(golden),
                  sourceDtype(golden),
                  matrixShape(golden),
                  packed(scope, golden),
                  scope.tensor(FILE.get(golden.id() + ".absmax")),
                  null,
                  null,
                  0));
      Tensor out = scope.own(LoraKernels.dequantize(weight, dtype));
      GoldenTensor expected = FILE.get(golden.id() + ".dequant." + suffix(dtype));
      Compare.identical(expected.name(), expected.bytes(), Scope.bytes(out), dtype.bytes());
    }
  }

  private void quantizesTwice(GoldenCase golden) {
    try (Scope scope = Scope.open()) {
      String nested = golden.id() + ".nested.";
      Tensor input = scope.tensor(FILE.get(golden.id() + ".input"));
      Nf4Tensor quantized = scope.own(LoraKernels.quantize(input, doubleFormat(golden)));
      Compare.identical(
          "packed", FILE.get(golden.id() + ".packed").bytes(), Scope.bytes(quantized.packed()), 1);

      double offset = FILE.get(nested + "offset").doubles()[0];
      Compare.close(
          "offset", new double[] {offset}, new float[] {quantized.nestedOffset()}, OFFSET);
      GoldenTensor nestedAbsmax = FILE.get(nested + "state2_absmax");
      double offsetError = Math.abs(quantized.nestedOffset() - offset);
      Compare.close(
          "nested absmax",
          nestedAbsmax.doubles(),
          quantized.nestedAbsmax().toFloatArray(),
          Tolerance.relative(
              0x1p-23, offsetError, "max |absmax - offset| moves with the offset; one rounding"));

      boolean sameScales =
          (float) offset == quantized.nestedOffset()
              && Arrays.equals(nestedAbsmax.bytes(), Scope.bytes(quantized.nestedAbsmax()));
      compareCodes(nested, Scope.bytes(quantized.absmax()), sameScales);
    }
  }

  /**
   * With the same offset and nested absmax every code must be the library's (its CPU code rounds
   * through a table of 65536 bins); otherwise at most 0.5 % may be off by one.
   */
  private static void compareCodes(String nested, byte[] actual, boolean sameScales) {
    byte[] table = FILE.get(nested + "absmax_u8.cpu_lut").bytes();
    if (sameScales) {
      Compare.identical("codes of absmax", table, actual, 1);
      return;
    }
    assertEquals(table.length, actual.length, "codes of absmax");
    int differing = 0;
    for (int i = 0; i < actual.length; i++) {
      int distance = Math.abs((actual[i] & 0xff) - (table[i] & 0xff));
      assertTrue(distance <= 1, "code " + i + " of absmax is off by " + distance);
      differing += distance;
    }
    assertTrue(
        differing <= actual.length / 200,
        differing + " of " + actual.length + " codes of absmax differ");
  }

  /** From the golden codes, so that the arithmetic alone is under test: bit for bit. */
  private void dequantizesTwice(GoldenCase golden) {
    try (Scope scope = Scope.open()) {
      String nested = golden.id() + ".nested.";
      GoldenTensor codes = FILE.get(nested + "absmax_u8.cpu_lut");
      GoldenTensor nestedAbsmax = FILE.get(nested + "state2_absmax");
      float offset = FILE.get(nested + "offset").floats()[0];
      Nf4Tensor weight =
          scope.own(
              Nf4Tensor.of(
                  doubleFormat(golden),
                  sourceDtype(golden),
                  matrixShape(golden),
                  packed(scope, golden),
                  scope.tensor(codes),
                  scope.tensor(nestedAbsmax),
                  null,
                  offset));
      float[] scales = FourBitOracle.scales(codes.bytes(), nestedAbsmax.floats(), offset);
      assertArrayEquals(FILE.get(nested + "absmax_deq.cpu_lut").floats(), scales, "scales");

      float[] actual = scope.own(LoraKernels.dequantize(weight, DType.F32)).toFloatArray();
      byte[] packed = FILE.get(golden.id() + ".packed").bytes();
      float[] formula =
          oracle(golden).dequantize(packed, scales, golden.integer("blocksize"), actual.length);
      assertArrayEquals(formula, actual, "code * scale");
      if (FILE.has(nested + "dequant.f32"))
        assertArrayEquals(FILE.get(nested + "dequant.f32").floats(), actual);
    }
  }

  /** The oracle that other tests rely on gives the golden bits too. */
  @TestFactory
  Stream<DynamicTest> oracleAgrees() {
    return FILE.cases().stream()
        .map(
            golden ->
                dynamicTest(
                    golden.id(),
                    () -> {
                      float[] input = FILE.get(golden.id() + ".input").floats();
                      FourBitOracle.Quantized quantized =
                          oracle(golden).quantize(input, golden.integer("blocksize"));
                      assertArrayEquals(
                          FILE.get(golden.id() + ".packed").bytes(), quantized.packed());
                      assertArrayEquals(
                          FILE.get(golden.id() + ".absmax").floats(), quantized.absmax());
                    }));
  }

  private static Stream<DType> outputs(String prefix) {
    return List.of(DType.F32, DType.BF16, DType.F16).stream()
        .filter(dtype -> FILE.has(prefix + suffix(dtype)));
  }

  private static String suffix(DType dtype) {
    return dtype.name().toLowerCase(Locale.ROOT);
  }

  private static Tensor packed(Scope scope, GoldenCase golden) {
    byte[] packed = FILE.get(golden.id() + ".packed").bytes();
    return scope.bytes(DType.U8, packed, packed.length, 1);
  }

  /** A weight has two dimensions: a vector is one row. */
  private static long[] matrixShape(GoldenCase golden) {
    long[] shape = golden.dimensions("shape");
    return shape.length == 1 ? new long[] {1, shape[0]} : shape;
  }

  private static DType sourceDtype(GoldenCase golden) {
    return FILE.get(golden.id() + ".input").dtype();
  }

  private static CodeBook codeBook(GoldenCase golden) {
    return CodeBook.valueOf(golden.text("quant_type").toUpperCase(Locale.ROOT));
  }

  private static FourBitOracle oracle(GoldenCase golden) {
    return FourBitOracle.of(codeBook(golden));
  }

  private static Nf4Format format(GoldenCase golden) {
    return Nf4Format.plain()
        .withCodeBook(codeBook(golden))
        .withBlockSize(golden.integer("blocksize"));
  }

  private static Nf4Format doubleFormat(GoldenCase golden) {
    return Nf4Format.doubleQuantized()
        .withCodeBook(codeBook(golden))
        .withBlockSize(golden.integer("blocksize"));
  }
}
