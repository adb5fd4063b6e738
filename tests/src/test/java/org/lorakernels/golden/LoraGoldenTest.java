package org.lorakernels.golden;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.TestDevice;
import org.lorakernels.oracle.Tolerance;

/**
 * LoRA on dense weights against PEFT, for loss = sum(y * gy): output, gradients, delta, merged and
 * unmerged weights, in each of the file's modes.
 */
@Tag(TestDevice.TAG)
class LoraGoldenTest implements GoldenSuite {
  private static final GoldenFile FILE = GoldenFile.open("lora/linear.safetensors");

  /** What a mode casts its inputs to. */
  private record Mode(String name, Precision base, Precision adapter) {}

  private static final List<Mode> MODES =
      List.of(
          new Mode("f32", Precision.F32, Precision.F32),
          new Mode("bf16", Precision.BF16, Precision.BF16),
          new Mode("bf16base_f32adapter", Precision.BF16, Precision.F32));

  @Override
  @TestFactory
  public Stream<DynamicTest> cases() {
    return FILE.cases().stream()
        .filter(golden -> !golden.flag("use_dora")) // those are in DoraGoldenTest
        .flatMap(
            golden ->
                modes(golden)
                    .map(
                        mode ->
                            dynamicTest(
                                golden.id() + " in " + mode.name, () -> run(golden, mode))));
  }

  private static Stream<Mode> modes(GoldenCase golden) {
    return MODES.stream().filter(mode -> FILE.has(golden.id() + "." + mode.name + ".y"));
  }

  private void run(GoldenCase golden, Mode mode) {
    try (Scope scope = Scope.open()) {
      new Layer(scope, golden, mode).check();
    }
  }

  /** One case in one mode, on a device. */
  private static final class Layer {
    private final Scope scope;
    private final Mode mode;
    private final String prefix;
    private final int in;
    private final int out;
    private final Tensor weight;
    private final LoraAdapter adapter;
    private final GoldenCase golden;

    Layer(Scope scope, GoldenCase golden, Mode mode) {
      this.scope = scope;
      this.mode = mode;
      this.golden = golden;
      prefix = golden.id() + "." + mode.name + ".";
      in = golden.integer("in_features");
      out = golden.integer("out_features");
      int rank = golden.integer("r");
      weight = input("W", out, in, mode.base);
      LoraConfig config =
          LoraConfig.rank(rank)
              .alpha((float) golden.number("lora_alpha"))
              .rsLora(golden.flag("use_rslora"))
              .dtype(mode.adapter.dtype());
      adapter =
          scope.own(
              LoraAdapter.of(
                  config, input("A", rank, in, mode.adapter), input("B", out, rank, mode.adapter)));
      assertEquals(
          golden.number("scaling"), adapter.scaling(), 1e-6 * golden.number("scaling"), "scaling");
    }

    void check() {
      int rows = golden.integer("M");
      Tensor x = input("x", rows, in, mode.base);
      Tensor gy = input("gy", rows, out, mode.base);
      Tensor bias = golden.flag("bias") ? input("bias", 1, out, mode.base) : null;

      compare("y", scope.own(LoraKernels.fusedForward(x, weight, bias, adapter)));
      compare("dx", scope.own(LoraKernels.fusedBackward(x, gy, weight, adapter)));
      compare("dA", adapter.gradA());
      compare("dB", adapter.gradB());
      checkMerging();
    }

    private void checkMerging() {
      if (FILE.has(prefix + "delta")) {
        compare("delta", scope.own(LoraKernels.merge(scope.zeros(DType.F32, out, in), adapter)));
      }
      if (FILE.has(prefix + "W_merged")) {
        Tensor merged = scope.own(LoraKernels.merge(weight, adapter));
        assertEquals(mode.base.dtype(), merged.dtype(), "dtype of the merged weight");
        compare("W_merged", merged);
      }
      if (FILE.has(prefix + "W_unmerged")) {
        Tensor merged = scope.tensor(FILE.get(prefix + "W_merged"));
        compare("W_unmerged", scope.own(LoraKernels.unmerge(merged, adapter)));
      }
    }

    private void compare(String name, Tensor actual) {
      GoldenTensor expected = FILE.get(prefix + name);
      float[] values = actual.toFloatArray();
      assertFalse(allZero(values), name + " is all zero");
      Compare.close(prefix + name, expected.doubles(), values, tolerance(name, expected.dtype()));
    }

    private Tolerance tolerance(String name, DType dtype) {
      if (name.equals("W_merged") && dtype == DType.F32)
        return Tolerance.ofMax(2e-7, "one rounding of the sum in F32");
      if (name.equals("W_unmerged")) return unmergedTolerance(dtype);
      return dtype == DType.F32
          ? Tolerance.ofMax(2e-6, "sums in F32, another order")
          : Tolerance.ofMax(1.6e-2, "2 BF16 ulp: the library rounds every intermediate result");
    }

    /**
     * Unmerging subtracts numbers of the size of the merged weight, and the library rounds the
     * delta at that size too: its error scales with the merged weight, not with what is left.
     */
    private Tolerance unmergedTolerance(DType dtype) {
      double largest = 0;
      for (double value : FILE.get(prefix + "W_merged").doubles())
        largest = Math.max(largest, Math.abs(value));
      double factor = dtype == DType.F32 ? 2e-7 : 0x1p-7;
      return Tolerance.absolute(
          factor * largest, "the rounding of a delta of the size of the merged weight");
    }

    private Tensor input(String name, int rows, int cols, Precision precision) {
      Matrix values = Matrix.of(rows, cols, FILE.get(golden.id() + "." + name).floats());
      return scope.tensor(values.rounded(precision), precision);
    }
  }

  private static boolean allZero(float[] values) {
    for (float value : values) if (value != 0) return false;
    return true;
  }
}
