package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.lorakernels.CodeBook;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Tensor;
import org.lorakernels.numerics.LayerCase.Storage;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;

/** Batches of no rows and of one row. */
class EmptyBatchTest {
  private static final Storage NF4 = Storage.fourBit(CodeBook.NF4, 64, false);

  @Test
  void noRowsGiveNoRowsAndLeaveGradientsAlone() {
    try (Scope scope = Scope.cpu()) {
      Tensor weight = scope.zeros(DType.F32, 5, 7);
      weight.fill(1);
      LoraAdapter lora = scope.own(LoraAdapter.create(weight, LoraConfig.rank(3)));
      lora.gradA().fill(2);
      Tensor x = scope.zeros(DType.F32, 0, 7);
      assertArrayEquals(new long[] {0, 5}, scope.own(LoraKernels.matmul(x, weight)).shape());
      Tensor y = scope.own(LoraKernels.fusedForward(x, weight, lora));
      assertArrayEquals(new long[] {0, 5}, y.shape());
      Tensor dx = scope.own(LoraKernels.fusedBackward(x, y, weight, lora));
      assertArrayEquals(new long[] {0, 7}, dx.shape());
      float[] untouched = new float[21];
      Arrays.fill(untouched, 2);
      assertArrayEquals(untouched, lora.gradA().toFloatArray());
    }
  }

  @Test
  void noRowsOfAnyStorageOrDtype() {
    new LayerCase(0, 13, 37, 4, NF4, Precision.F32, Precision.F32, true, 0.5f, 1).check();
    new LayerCase(0, 13, 37, 4, NF4, Precision.BF16, Precision.F16, false, 0, 2).check();
  }

  @Test
  void oneRow() {
    Random random = new Random(5);
    for (Precision activations : Precision.values()) {
      new LayerCase(1, 67, 129, 8, NF4, activations, Precision.F32, true, 0.1f, random.nextLong())
          .check();
      new LayerCase(1, 1, 1, 1, NF4, activations, activations, false, 0, random.nextLong()).check();
    }
  }
}
