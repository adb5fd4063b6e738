package org.lorakernels.numerics;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.AdamWConfig;
import org.lorakernels.Device;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.AdamWOracle;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.Tolerance;

/** AdamW over many tensors of odd sizes in one step, with scaled gradients, against float64. */
class AdamWTest {
  private static final int[] SIZES = {1, 7, 64, 1000, 4097, 3, 131};
  private static final int STEPS = 5;
  private static final float GRADIENT_SCALE = 0.25f;
  private static final Tolerance F32 =
      Tolerance.relative(1e-5, 1e-7, "five steps of F32 arithmetic");
  private static final Tolerance BF16 =
      Tolerance.ofMax(STEPS * 0x1p-8, "one rounding of the parameter a step");

  @ParameterizedTest
  @EnumSource(
      value = Precision.class,
      names = {"F32", "BF16"})
  void matchesTheReference(Precision precision) {
    Random random = new Random(3);
    try (Scope scope = Scope.cpu()) {
      List<Parameter> parameters = new ArrayList<>();
      List<AdamWOracle> oracles = new ArrayList<>();
      for (int size : SIZES) {
        Matrix value = Matrix.gaussian(1, size, 1, precision, random);
        Tensor gradient = scope.zeros(precision.dtype(), 1, size);
        parameters.add(new Parameter("p" + size, scope.tensor(value, precision), gradient));
        oracles.add(new AdamWOracle(value.values(), 0.02, 0.9, 0.99, 1e-6, 0.1));
      }
      AdamWConfig config =
          AdamWConfig.defaults().learningRate(0.02).betas(0.9, 0.99).epsilon(1e-6).weightDecay(0.1);
      PagedAdamW optimizer = scope.own(PagedAdamW.over(parameters, config));
      for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < SIZES.length; i++) {
          Matrix gradient = Matrix.gaussian(1, SIZES[i], 1, precision, random);
          parameters.get(i).gradient().copyFrom(gradient.floats());
          oracles.get(i).step(gradient.values(), GRADIENT_SCALE);
        }
        optimizer.step(GRADIENT_SCALE);
      }
      for (int i = 0; i < SIZES.length; i++) {
        String name = parameters.get(i).name();
        Tolerance tolerance = precision == Precision.F32 ? F32 : BF16;
        Compare.close(
            name, oracles.get(i).parameter, parameters.get(i).value().toFloatArray(), tolerance);
        Compare.close(name + ".m", oracles.get(i).expAvg, state(optimizer, name + ".exp_avg"), F32);
        Compare.close(
            name + ".v", oracles.get(i).expAvgSq, state(optimizer, name + ".exp_avg_sq"), F32);
      }
    }
  }

  private static float[] state(PagedAdamW optimizer, String name) {
    try (Device host = Device.cpu();
        Tensor state = optimizer.state(name).copy(host)) {
      return state.toFloatArray();
    }
  }
}
