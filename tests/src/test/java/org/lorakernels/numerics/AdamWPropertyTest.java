package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.lorakernels.AdamWConfig;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.ParameterGroup;
import org.lorakernels.StateType;
import org.lorakernels.StepResult;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.Tolerance;

/**
 * The first step of AdamW and Adam for any size, kind of states, group and limit of the norm,
 * against float64. States are zero before it and are rounded after it, so that no kind of states
 * changes it.
 */
class AdamWPropertyTest {
  private static final double RATE = 0.02;
  private static final Tolerance F32 = Tolerance.relative(1e-5, 1e-7, "a step of F32 arithmetic");
  private static final Tolerance BF16 =
      Tolerance.ulps(1, Precision.BF16, "one rounding, and F32 arithmetic before it");

  @Property(tries = 60)
  void firstStepMatchesTheReference(
      @ForAll @IntRange(min = 1, max = 9000) int size,
      @ForAll StateType states,
      @ForAll boolean narrow,
      @ForAll boolean masters,
      @ForAll boolean decoupled,
      @ForAll boolean clips,
      @ForAll long seed) {
    Random random = new Random(seed);
    Precision precision = narrow ? Precision.BF16 : Precision.F32;
    AdamWConfig config =
        AdamWConfig.defaults()
            .learningRate(RATE)
            .weightDecay(0.25)
            .epsilon(1e-3)
            .decoupled(decoupled)
            .stateType(states)
            .masterWeights(masters)
            .maxGradNorm(clips ? 0.5 : 0)
            .group(new ParameterGroup(Pattern.compile("^other$"), 0, 0.5));
    try (Scope scope = Scope.cpu()) {
      Matrix[] values = new Matrix[2];
      Matrix[] gradients = new Matrix[2];
      List<Parameter> parameters = new ArrayList<>();
      double squares = 0;
      for (int i = 0; i < 2; i++) {
        int count = i == 0 ? size : 300;
        values[i] = Matrix.gaussian(1, count, 1, precision, random);
        gradients[i] = Matrix.gaussian(1, count, 1, precision, random);
        for (double g : gradients[i].values()) squares += g * g;
        parameters.add(
            new Parameter(
                i == 0 ? "one" : "other",
                scope.tensor(values[i], precision),
                scope.tensor(gradients[i], precision)));
      }
      PagedAdamW optimizer = scope.own(PagedAdamW.over(parameters, config));
      StepResult result = optimizer.step();
      double norm = Math.sqrt(squares);
      assertEquals(norm, result.gradientNorm(), 1e-9 * norm);
      double scale = clips ? Math.min(1, 0.5 / (norm + 1e-6)) : 1;
      for (int i = 0; i < 2; i++) {
        double rate = i == 0 ? RATE : RATE / 2;
        double decay = i == 0 ? 0.25 : 0;
        double[] expected = values[i].values().clone();
        for (int k = 0; k < expected.length; k++) {
          double g = gradients[i].values()[k] * scale;
          if (!decoupled) g += decay * expected[k];
          if (decoupled) expected[k] *= 1 - rate * decay;
          expected[k] -= rate * g / (Math.abs(g) + 1e-3);
        }
        Tensor actual = parameters.get(i).value();
        Compare.close("parameter", expected, actual.toFloatArray(), narrow ? BF16 : F32);
      }
    }
  }

  @Property(tries = 20)
  void aStepWithAGradientThatIsNotFiniteChangesNothing(
      @ForAll @IntRange(min = 1, max = 5000) int size,
      @ForAll StateType states,
      @ForAll boolean infinite,
      @ForAll long seed) {
    Random random = new Random(seed);
    try (Scope scope = Scope.cpu()) {
      Matrix value = Matrix.gaussian(1, size, 1, Precision.F32, random);
      float[] gradient = Matrix.gaussian(1, size, 1, Precision.F32, random).floats();
      Tensor tensor = scope.tensor(value, Precision.F32);
      Tensor gradients = scope.zeros(tensor.dtype(), tensor.shape());
      gradients.copyFrom(gradient);
      PagedAdamW optimizer =
          scope.own(
              PagedAdamW.over(
                  List.of(new Parameter("p", tensor, gradients)),
                  AdamWConfig.defaults().stateType(states)));
      optimizer.step();
      float[] before = tensor.toFloatArray();
      List<byte[]> statesBefore = states(scope, optimizer);
      gradient[random.nextInt(size)] = infinite ? Float.NEGATIVE_INFINITY : Float.NaN;
      gradients.copyFrom(gradient);
      StepResult result = optimizer.step();
      assertTrue(result.skipped());
      assertEquals("p", result.nonFinite());
      assertEquals(1, optimizer.stepCount());
      assertArrayEquals(before, tensor.toFloatArray());
      List<byte[]> statesAfter = states(scope, optimizer);
      for (int i = 0; i < statesBefore.size(); i++) {
        assertArrayEquals(statesBefore.get(i), statesAfter.get(i));
      }
    }
  }

  private static List<byte[]> states(Scope scope, PagedAdamW optimizer) {
    return optimizer.states().stream()
        .map(state -> Scope.bytes(scope.own(state.copy(scope.device()))))
        .toList();
  }
}
