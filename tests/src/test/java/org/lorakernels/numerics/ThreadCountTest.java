package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.AdamWConfig;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;

/** The number of threads changes no bit of any operation's result. */
class ThreadCountTest {
  private final int before = LoraKernels.numThreads();

  @AfterEach
  void restoreThreads() {
    LoraKernels.numThreads(before);
  }

  @Test
  void theCountIsTheOneSet() {
    LoraKernels.numThreads(5);
    assertEquals(5, LoraKernels.numThreads());
  }

  @ParameterizedTest
  @EnumSource(Precision.class)
  void changesNoBit(Precision activations) {
    Map<String, byte[]> one = results(1, activations);
    for (int threads : new int[] {2, 5}) {
      Map<String, byte[]> many = results(threads, activations);
      assertEquals(one.keySet(), many.keySet());
      one.forEach(
          (name, bytes) ->
              assertArrayEquals(bytes, many.get(name), name + " with " + threads + " threads"));
    }
  }

  /**
   * Every operation, on one row and on many; sizes large enough for every thread to have work, and
   * multiples of nothing.
   */
  private static Map<String, byte[]> results(int threads, Precision activations) {
    LoraKernels.numThreads(threads);
    Map<String, byte[]> results = new LinkedHashMap<>();
    for (int rows : new int[] {1, 77}) {
      try (Scope scope = Scope.cpu()) {
        new Operations(scope, rows, activations)
            .run()
            .forEach((name, value) -> results.put(name + " of " + rows, value));
      }
    }
    return results;
  }

  private static final class Operations {
    private static final int OUTPUTS = 515;
    private static final int INPUTS = 777;
    private static final int RANK = 19;

    private final Scope scope;
    private final Precision activations;
    private final Random random = new Random(17);
    private final Tensor dense;
    private final Tensor x;
    private final Tensor dy;
    private final Tensor bias;
    private final LoraAdapter lora;
    private final Map<String, byte[]> results = new LinkedHashMap<>();

    Operations(Scope scope, int rows, Precision activations) {
      this.scope = scope;
      this.activations = activations;
      dense = gaussian(OUTPUTS, INPUTS, activations);
      x = gaussian(rows, INPUTS, activations);
      dy = gaussian(rows, OUTPUTS, activations);
      bias = gaussian(1, OUTPUTS, activations);
      LoraConfig config = LoraConfig.rank(RANK).dropout(0.2f).seed(5);
      Tensor a = gaussian(RANK, INPUTS, Precision.F32);
      lora = scope.own(LoraAdapter.of(config, a, gaussian(OUTPUTS, RANK, Precision.F32)));
    }

    private Tensor gaussian(int rows, int cols, Precision precision) {
      return scope.tensor(Matrix.gaussian(rows, cols, 1, precision, random), precision);
    }

    Map<String, byte[]> run() {
      Nf4Tensor single = quantized("single", LoraKernels.quantize(dense, Nf4Format.plain()));
      Nf4Tensor twice =
          quantized("double", LoraKernels.quantize(dense, Nf4Format.doubleQuantized()));
      layer("dense", dense);
      layer("NF4", single);
      layer("double-quantised NF4", twice);
      quantized("merged", LoraKernels.mergeQuantized(single, lora));
      put("dropout", dropped());
      adamW();
      return results;
    }

    private Nf4Tensor quantized(String name, Nf4Tensor weight) {
      scope.own(weight);
      results.put(name + " packed", Scope.bytes(weight.packed()));
      results.put(name + " absmax", Scope.bytes(weight.absmax()));
      return weight;
    }

    private void layer(String name, Weight weight) {
      lora.zeroGradients();
      put(name + " dequantised", LoraKernels.dequantize(weight, DType.F32));
      put(name + " matmul", LoraKernels.matmul(x, weight, bias));
      put(name + " matmulTransposed", LoraKernels.matmulTransposed(dy, weight));
      put(name + " forward", LoraKernels.fusedForward(x, weight, bias, lora));
      put(name + " backward", LoraKernels.fusedBackward(x, dy, weight, lora));
      results.put(name + " dA", Scope.bytes(lora.gradA()));
      results.put(name + " dB", Scope.bytes(lora.gradB()));
      put(name + " merged", LoraKernels.merge(weight, lora));
    }

    private void put(String name, Tensor result) {
      results.put(name, Scope.bytes(scope.own(result)));
    }

    private Tensor dropped() {
      Tensor out = Tensor.zeros(scope.device(), activations.dtype(), x.shape());
      LoraKernels.dropout(x, lora, out);
      return out;
    }

    private void adamW() {
      PagedAdamW optimizer = scope.own(PagedAdamW.over(lora.parameters(), AdamWConfig.defaults()));
      optimizer.step();
      for (Tensor parameter : List.of(lora.a(), lora.b()))
        results.put("AdamW " + parameter.rows(), Scope.bytes(parameter));
    }
  }
}
