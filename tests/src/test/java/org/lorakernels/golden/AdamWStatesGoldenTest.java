package org.lorakernels.golden;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.lorakernels.AdamWConfig;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.StateTensor;
import org.lorakernels.StateType;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.TestDevice;
import org.lorakernels.oracle.Tolerance;

/**
 * AdamW with states in BF16 against torch, which keeps those of BF16 parameters so, and in 8 bits
 * against bitsandbytes' AdamW8bit, over the steps of a golden file. Row t of each array is the
 * state after step t + 1.
 */
@Tag(TestDevice.TAG)
class AdamWStatesGoldenTest implements GoldenSuite {
  private static final Tolerance BF16_STEP =
      Tolerance.ulps(1, Precision.BF16, "torch rounds to BF16 after every operation, we once");
  private static final Tolerance BF16_RUN =
      Tolerance.ofMax(2e-2, "roundings to BF16 add up over the steps");
  private static final Tolerance ABSMAX = Tolerance.relative(1e-6, 0, "F32 in another order");
  private static final Tolerance F32 =
      Tolerance.relative(1e-6, 1e-8, "F32 arithmetic in another order");

  /** Codes that may differ: of moments within rounding of the middle between two codes. */
  private static final double MOST_OTHER_CODES = 0.01;

  @Override
  @TestFactory
  public Stream<DynamicTest> cases() {
    GoldenFile bf16 = GoldenFile.open("optim/adamw_bf16.safetensors");
    GoldenFile eightBit = GoldenFile.open("optim/adamw8bit.safetensors");
    return Stream.of(
        dynamicTest("BF16 states, running free", () -> bf16(bf16, false)),
        dynamicTest("BF16 states, from each golden step", () -> bf16(bf16, true)),
        dynamicTest("8-bit states, running free", () -> eightBit(eightBit, false)),
        dynamicTest("8-bit states, from each golden step", () -> eightBit(eightBit, true)));
  }

  private static void bf16(GoldenFile file, boolean restarts) {
    Map<String, String> states = Map.of("exp_avg", "torch.m", "exp_avg_sq", "torch.v");
    try (Scope scope = Scope.open()) {
      Run run = new Run(scope, file, "torch.p", states, StateType.BF16);
      for (int step = 0; step < run.steps(); step++) {
        if (restarts && step > 0) run.restore(step);
        run.step(step);
        Tolerance tolerance = restarts ? BF16_STEP : BF16_RUN;
        float[] before = run.parameterBefore;
        run.compare(
            "torch.p", step, run.parameter.toFloatArray(), restarts ? ofTerms(before) : BF16_RUN);
        if (!restarts) { // torch's fused step computes in F32, as we do
          run.compare(
              "torch_fused.p",
              step,
              run.parameter.toFloatArray(),
              step == 0 ? BF16_STEP : BF16_RUN);
        }
        run.compare("torch.m", step, run.state("exp_avg"), tolerance);
        run.compare("torch.v", step, run.state("exp_avg_sq"), tolerance);
      }
    }
  }

  /**
   * torch rounds {@code p * decay}, the root, the denominator and the result to BF16 one after
   * another: two units of the parameter or of the step, whichever is larger, where the two cancel.
   */
  private static Tolerance ofTerms(float[] before) {
    return new Tolerance(
        expected ->
            i -> {
              double step = Math.abs(expected[i] - before[i]);
              return 2 * Precision.BF16.ulp(Math.max(step, Math.abs(before[i])));
            },
        "torch rounds every term of a step");
  }

  private static void eightBit(GoldenFile file, boolean restarts) {
    Map<String, String> states =
        Map.of(
            "exp_avg", "bnb8.state1",
            "exp_avg_sq", "bnb8.state2",
            "absmax1", "bnb8.absmax1",
            "absmax2", "bnb8.absmax2");
    double rate = file.description().number("lr");
    Tolerance drift = Tolerance.absolute(2 * rate * 1e-2, "codes drift apart");
    try (Scope scope = Scope.open()) {
      Run run = new Run(scope, file, "bnb8.p", states, StateType.EIGHT_BIT);
      for (int step = 0; step < run.steps(); step++) {
        if (restarts && step > 0) run.restore(step);
        run.step(step);
        boolean exact = restarts || step == 0;
        // from the second step on a parameter near 0 is off by the rounding of what is added to it
        Tolerance one = step == 0 ? F32 : Tolerance.relative(1e-6, rate * 1e-5, "F32 steps");
        run.compare("bnb8.p", step, run.parameter.toFloatArray(), exact ? one : drift);
        if (exact) {
          run.compare("bnb8.absmax1", step, run.state("absmax1"), ABSMAX);
          run.compare("bnb8.absmax2", step, run.state("absmax2"), ABSMAX);
          run.compareCodes("bnb8.state1", step, run.state("exp_avg"));
          run.compareCodes("bnb8.state2", step, run.state("exp_avg_sq"));
        }
      }
    }
  }

  private static final class Run {
    private final Scope scope;
    private final GoldenFile file;
    private final String values;
    private final Map<String, String> states;
    private final Tensor parameter;
    private final Tensor gradient;
    private final PagedAdamW optimizer;
    private float[] parameterBefore;

    Run(
        Scope scope,
        GoldenFile file,
        String values,
        Map<String, String> states,
        StateType stateType) {
      this.scope = scope;
      this.file = file;
      this.values = values;
      this.states = states;
      parameter = scope.tensor(file.get("p0"));
      gradient = scope.tensor(file.get("grads").row(0));
      GoldenCase golden = file.description();
      List<Double> betas = golden.numbers("betas");
      AdamWConfig config =
          AdamWConfig.defaults()
              .learningRate(golden.number("lr"))
              .betas(betas.get(0), betas.get(1))
              .epsilon(golden.number("eps"))
              .weightDecay(golden.number("weight_decay"))
              .stateType(stateType);
      optimizer =
          scope.own(PagedAdamW.over(List.of(new Parameter("p", parameter, gradient)), config));
    }

    int steps() {
      return (int) file.get("grads").shape()[0];
    }

    void step(int step) {
      parameterBefore = parameter.toFloatArray();
      gradient.copyFrom(file.get("grads").row(step).buffer());
      optimizer.step();
    }

    /** Puts the golden state after {@code completed} steps in place of our own. */
    void restore(int completed) {
      parameter.copyFrom(file.get(values).row(completed - 1).buffer());
      try (Scope host = Scope.cpu()) { // where states are imported from, whatever device has them
        Map<String, Tensor> imported = new HashMap<>();
        states.forEach(
            (state, golden) -> {
              StateTensor like = optimizer.state("p." + state);
              Tensor tensor = host.own(Tensor.zeros(host.device(), like.dtype(), like.shape()));
              tensor.copyFrom(file.get(golden).row(completed - 1).buffer());
              imported.put("p." + state, tensor);
            });
        optimizer.importStates(completed, imported);
      }
    }

    float[] state(String state) {
      try (Tensor copy = optimizer.state("p." + state).copy(scope.device())) {
        return new GoldenTensor(state, copy.dtype(), copy.shape(), Scope.bytes(copy)).floats();
      }
    }

    void compare(String name, int step, float[] actual, Tolerance tolerance) {
      GoldenTensor expected = file.get(name).row(step);
      Compare.close(expected.name(), expected.doubles(), actual, tolerance);
    }

    void compareCodes(String name, int step, float[] actual) {
      GoldenTensor expected = file.get(name).row(step);
      float[] codes = expected.floats();
      int other = 0;
      for (int i = 0; i < codes.length; i++) {
        float difference = Math.abs(codes[i] - actual[i]);
        assertTrue(difference <= 1, expected.name() + "[" + i + "]: " + actual[i]);
        other += difference > 0 ? 1 : 0;
      }
      assertTrue(
          other <= MOST_OTHER_CODES * codes.length, expected.name() + ": " + other + " codes");
    }
  }
}
