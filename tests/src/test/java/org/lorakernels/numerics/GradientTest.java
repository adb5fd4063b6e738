package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.Tolerance;

/**
 * The fused backward pass against finite differences of the fused forward pass.
 *
 * <p>The loss is half the squared distance of y from a target: quadratic in each of x, A and B, so
 * a central difference is exact for any step, and a large step leaves F32 rounding alone.
 */
class GradientTest {
  private static final float STEP = 0.25f;
  private static final Tolerance ROUNDING =
      Tolerance.ofMax(2e-5, "F32 rounding of y over a step of 0.25");

  record Shape(int rows, int outputs, int inputs, int rank, float dropout, boolean quantized) {}

  static Stream<Shape> shapes() {
    return Stream.of(
        new Shape(3, 5, 7, 3, 0, false),
        new Shape(3, 5, 7, 3, 0.3f, false),
        new Shape(1, 9, 33, 1, 0.3f, true),
        new Shape(5, 17, 13, 6, 0.5f, true),
        new Shape(4, 1, 1, 2, 0, true));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void matchesFiniteDifferences(Shape shape) {
    try (Scope scope = Scope.cpu()) {
      Layer layer = new Layer(scope, shape);
      Tensor dx =
          scope.own(LoraKernels.fusedBackward(layer.x, layer.residual(), layer.weight, layer.lora));
      Compare.close("dx", layer.differences(layer.x), dx.toFloatArray(), ROUNDING);
      Compare.close(
          "dA", layer.differences(layer.lora.a()), layer.lora.gradA().toFloatArray(), ROUNDING);
      Compare.close(
          "dB", layer.differences(layer.lora.b()), layer.lora.gradB().toFloatArray(), ROUNDING);
    }
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void addsToGradientsAlreadyThere(Shape shape) {
    try (Scope scope = Scope.cpu()) {
      Layer layer = new Layer(scope, shape);
      Tensor dy = layer.residual();
      LoraKernels.fusedBackward(layer.x, dy, layer.weight, layer.lora, null);
      float[] gradA = layer.lora.gradA().toFloatArray();
      float[] gradB = layer.lora.gradB().toFloatArray();

      layer.lora.zeroGradients();
      assertArrayEquals(new float[gradA.length], layer.lora.gradA().toFloatArray());
      layer.lora.gradA().fill(3);
      layer.lora.gradB().fill(-2);
      LoraKernels.fusedBackward(layer.x, dy, layer.weight, layer.lora, null);
      Tolerance once = Tolerance.ofMax(1e-6, "one more F32 addition");
      Compare.close("3 + dA", plus(gradA, 3), layer.lora.gradA().toFloatArray(), once);
      Compare.close("dB - 2", plus(gradB, -2), layer.lora.gradB().toFloatArray(), once);
    }
  }

  @Test
  void dropoutStepChangesTheMaskAndEvaluationDropsNothing() {
    try (Scope scope = Scope.cpu()) {
      Layer layer = new Layer(scope, new Shape(4, 6, 40, 2, 0.5f, false));
      float[] first = layer.output();
      assertArrayEquals(first, layer.output(), "the same step gives the same mask");
      layer.lora.dropoutStep(layer.lora.dropoutStep() + 1);
      float[] second = layer.output();
      assertFalse(Arrays.equals(first, second), "another step");

      layer.lora.training(false);
      float[] evaluated = layer.output();
      LoraAdapter plain =
          scope.own(
              LoraAdapter.of(LoraConfig.rank(2), layer.lora.a().copy(), layer.lora.b().copy()));
      float[] withoutDropout =
          scope.own(LoraKernels.fusedForward(layer.x, layer.weight, plain)).toFloatArray();
      assertArrayEquals(withoutDropout, evaluated, "evaluation");
    }
  }

  private static double[] plus(float[] values, double constant) {
    return new Matrix(1, values.length, Precision.widen(values)).map(v -> v + constant).values();
  }

  private static final class Layer {
    private final Scope scope;
    private final Tensor x;
    private final Weight weight;
    private final LoraAdapter lora;
    private final float[] target;

    Layer(Scope scope, Shape shape) {
      this.scope = scope;
      Random random = new Random(42);
      x = gaussian(shape.rows, shape.inputs, random);
      Tensor dense = gaussian(shape.outputs, shape.inputs, random);
      weight =
          shape.quantized
              ? scope.own(LoraKernels.quantize(dense, Nf4Format.plain().withBlockSize(32)))
              : dense;
      LoraConfig config = LoraConfig.rank(shape.rank).dropout(shape.dropout).seed(7);
      lora =
          scope.own(
              LoraAdapter.of(
                  config,
                  gaussian(shape.rank, shape.inputs, random),
                  gaussian(shape.outputs, shape.rank, random)));
      target = Matrix.gaussian(shape.rows, shape.outputs, 1, Precision.F32, random).floats();
    }

    private Tensor gaussian(int rows, int cols, Random random) {
      return scope.tensor(Matrix.gaussian(rows, cols, 1, Precision.F32, random), Precision.F32);
    }

    float[] output() {
      try (Tensor y = LoraKernels.fusedForward(x, weight, lora)) {
        return y.toFloatArray();
      }
    }

    /** dloss/dy = y - target. */
    Tensor residual() {
      float[] y = output();
      for (int i = 0; i < y.length; i++) y[i] -= target[i];
      Tensor dy = scope.zeros(DType.F32, x.rows(), weight.rows());
      dy.copyFrom(y);
      return dy;
    }

    private double loss() {
      float[] y = output();
      double loss = 0;
      for (int i = 0; i < y.length; i++) loss += 0.5 * Math.pow((double) y[i] - target[i], 2);
      return loss;
    }

    /** dloss/dv for every element v of {@code variable}. */
    double[] differences(Tensor variable) {
      float[] values = variable.toFloatArray();
      double[] gradient = new double[values.length];
      for (int i = 0; i < values.length; i++) {
        float center = values[i];
        values[i] = center + STEP;
        float above = values[i];
        variable.copyFrom(values);
        double lossAbove = loss();
        values[i] = center - STEP;
        float below = values[i];
        variable.copyFrom(values);
        gradient[i] = (lossAbove - loss()) / ((double) above - below);
        values[i] = center;
      }
      variable.copyFrom(values);
      return gradient;
    }
  }
}
