package org.lorakernels.training.model;

import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.Tensor;
import org.lorakernels.golden.GoldenCase;
import org.lorakernels.golden.GoldenFile;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.Tolerance;

/** DoRA on one layer against PEFT: forward, backward, and magnitudes where none are given. */
class DoraGoldenTest {
  private static final GoldenFile FILE = GoldenFile.open("lora/linear.safetensors");
  private static final Tolerance F32 = Tolerance.ofMax(5e-6, "F32 sums and a quotient of norms");
  private static final Tolerance BF16 = Tolerance.ofMax(1.6e-2, "two roundings to BF16");

  private record Mode(String name, Precision base, Precision adapter) {}

  private static final List<Mode> MODES =
      List.of(
          new Mode("f32", Precision.F32, Precision.F32),
          new Mode("bf16", Precision.BF16, Precision.BF16),
          new Mode("bf16base_f32adapter", Precision.BF16, Precision.F32));

  @TestFactory
  Stream<DynamicTest> cases() {
    return FILE.cases().stream()
        .filter(golden -> golden.flag("use_dora"))
        .flatMap(
            golden ->
                MODES.stream()
                    .filter(mode -> FILE.has(golden.id() + "." + mode.name + ".y"))
                    .map(
                        mode ->
                            dynamicTest(golden.id() + " " + mode.name, () -> run(golden, mode))));
  }

  private static void run(GoldenCase golden, Mode mode) {
    int in = golden.integer("in_features");
    int out = golden.integer("out_features");
    int rank = golden.integer("r");
    int tokens = golden.integer("M");
    String id = golden.id() + ".";
    String prefix = id + mode.name + ".";
    Tolerance tolerance = mode.base == Precision.F32 ? F32 : BF16;
    try (Scope scope = Scope.cpu();
        DoraScratch scratch = new DoraScratch(scope.device(), mode.base.dtype())) {
      Tensor weight = input(scope, id + "W", out, in, mode.base);
      Tensor bias = golden.flag("bias") ? input(scope, id + "bias", 1, out, mode.base) : null;
      LoraAdapter adapter =
          scope.own(
              LoraAdapter.of(
                  LoraConfig.rank(rank)
                      .alpha((float) golden.number("lora_alpha"))
                      .rsLora(golden.flag("use_rslora"))
                      .dtype(mode.adapter.dtype()),
                  input(scope, id + "A", rank, in, mode.adapter),
                  input(scope, id + "B", out, rank, mode.adapter)));
      Tensor magnitude = Tensor.zeros(scope.device(), mode.adapter.dtype(), out);
      magnitude.copyFrom(FILE.get(prefix + "magnitude").floats());
      try (Dora dora = new Dora(magnitude, weight, adapter, scratch)) {
        Tensor x = input(scope, id + "x", tokens, in, mode.base);
        Tensor gy = input(scope, id + "gy", tokens, out, mode.base);
        Tensor y = scope.zeros(mode.base.dtype(), tokens, out);
        Tensor dx = scope.zeros(mode.base.dtype(), tokens, in);
        dora.forward(x, weight, bias, adapter, y);
        dora.backward(x, gy, weight, adapter, dx);
        compare(prefix + "y", y, tolerance);
        compare(prefix + "dx", dx, tolerance);
        compare(prefix + "dA", adapter.gradA(), tolerance);
        compare(prefix + "dB", adapter.gradB(), tolerance);
        compare(prefix + "dmagnitude", dora.parameter("m").gradient(), tolerance);
      }
    }
  }

  private static Tensor input(Scope scope, String name, int rows, int cols, Precision precision) {
    float[] values = FILE.get(name).floats();
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) precision.round(values[i]);
    }
    return scope.tensor(Matrix.of(rows, cols, values), precision);
  }

  private static void compare(String name, Tensor actual, Tolerance tolerance) {
    Compare.close(name, FILE.get(name).doubles(), actual.toFloatArray(), tolerance);
  }
}
