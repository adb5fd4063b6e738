package org.lorakernels.golden;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.lorakernels.AdamWConfig;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.TestDevice;
import org.lorakernels.oracle.Tolerance;

/**
 * AdamW over the steps of a golden file: against torch with F32 parameters, and with BF16
 * parameters against bitsandbytes' 32-bit AdamW, which keeps its moments in F32 as we do. Row t of
 * each array is the state after step t + 1.
 */
@Tag(TestDevice.TAG)
class AdamWGoldenTest implements GoldenSuite {
  private static final Tolerance F32 =
      Tolerance.relative(1e-6, 1e-8, "F32 arithmetic in another order");
  private static final Tolerance BF16_STEP =
      Tolerance.ulps(1, Precision.BF16, "the rounding of the parameter");
  private static final Tolerance BF16_RUN =
      Tolerance.ofMax(2e-2, "roundings of the parameter add up over the steps");

  @Override
  @TestFactory
  public Stream<DynamicTest> cases() {
    GoldenFile f32 = GoldenFile.open("optim/adamw_f32.safetensors");
    GoldenFile bf16 = GoldenFile.open("optim/adamw_bf16.safetensors");
    return Stream.of(
        dynamicTest("F32, running free, torch", () -> runFree(f32, "torch", F32)),
        dynamicTest(
            "F32, running free, torch's fused step", () -> runFree(f32, "torch_fused", F32)),
        dynamicTest("F32, running free, bitsandbytes", () -> runFree(f32, "bnb32", F32)),
        dynamicTest("F32, from each golden step, torch", () -> restartEachStep(f32, "torch", F32)),
        dynamicTest("BF16, running free, bitsandbytes", () -> runFree(bf16, "bnb32", BF16_RUN)),
        dynamicTest(
            "BF16, from each golden step, bitsandbytes",
            () -> restartEachStep(bf16, "bnb32", BF16_STEP)));
  }

  private void runFree(GoldenFile file, String writer, Tolerance tolerance) {
    try (Scope scope = Scope.open()) {
      Run run = new Run(scope, file, writer, tolerance);
      for (int step = 0; step < run.steps(); step++) {
        run.step(step);
        run.compare(step);
      }
    }
  }

  private void restartEachStep(GoldenFile file, String writer, Tolerance tolerance) {
    try (Scope scope = Scope.open()) {
      Run run = new Run(scope, file, writer, tolerance);
      for (int step = 0; step < run.steps(); step++) {
        if (step > 0) run.restore(step);
        run.step(step);
        run.compare(step);
      }
    }
  }

  private static final class Run {
    private final GoldenFile file;
    private final String writer;
    private final Tolerance tolerance;
    private final Tensor parameter;
    private final Tensor gradient;
    private final PagedAdamW optimizer;

    Run(Scope scope, GoldenFile file, String writer, Tolerance tolerance) {
      this.file = file;
      this.writer = writer;
      this.tolerance = tolerance;
      parameter = scope.tensor(file.get("p0"));
      gradient = scope.tensor(file.get("grads").row(0));
      optimizer =
          scope.own(
              PagedAdamW.over(List.of(new Parameter("p", parameter, gradient)), config(file)));
    }

    int steps() {
      return (int) file.get("grads").shape()[0];
    }

    void step(int step) {
      gradient.copyFrom(file.get("grads").row(step).buffer());
      optimizer.step();
      assertEquals(step + 1, optimizer.stepCount(), "step count");
    }

    /** Puts the golden state after {@code completed} steps in place of our own. */
    void restore(int completed) {
      parameter.copyFrom(golden("p", completed - 1).buffer());
      long[] shape = parameter.shape();
      try (Device host = Device.cpu();
          Tensor m = Tensor.zeros(host, DType.F32, shape);
          Tensor v = Tensor.zeros(host, DType.F32, shape)) {
        m.copyFrom(golden("m", completed - 1).buffer());
        v.copyFrom(golden("v", completed - 1).buffer());
        optimizer.importStates(completed, Map.of("p.exp_avg", m, "p.exp_avg_sq", v));
      }
    }

    void compare(int step) {
      compare("p", step, parameter, tolerance);
      try (Device host = Device.cpu();
          Tensor m = optimizer.state("p.exp_avg").copy(host);
          Tensor v = optimizer.state("p.exp_avg_sq").copy(host)) {
        compare("m", step, m, F32);
        compare("v", step, v, F32);
      }
    }

    private void compare(String name, int step, Tensor actual, Tolerance allowed) {
      if (!file.has(writer + "." + name)) return; // torch's fused rows are parameters alone
      GoldenTensor expected = golden(name, step);
      Compare.close(expected.name(), expected.doubles(), actual.toFloatArray(), allowed);
    }

    private GoldenTensor golden(String name, int step) {
      return file.get(writer + "." + name).row(step);
    }

    private static AdamWConfig config(GoldenFile file) {
      GoldenCase golden = file.description();
      List<Double> betas = golden.numbers("betas");
      return AdamWConfig.defaults()
          .learningRate(golden.number("lr"))
          .betas(betas.get(0), betas.get(1))
          .epsilon(golden.number("eps"))
          .weightDecay(golden.number("weight_decay"));
    }
  }
}
