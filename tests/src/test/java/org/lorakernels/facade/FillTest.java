package org.lorakernels.facade;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.DType;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Scope;

/** Setting every element, across the pieces in which it is done. */
class FillTest {
  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "BF16", "F16"})
  void everyElementOfALargeTensorIsSet(DType dtype) {
    try (Scope scope = Scope.cpu()) {
      Tensor tensor = scope.zeros(dtype, 300, 511); // more than two pieces, and a part of one
      tensor.fill(1.5f);
      for (float value : tensor.toFloatArray()) {
        assertEquals(1.5f, value);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "BF16"})
  void whatLiesBetweenTheRowsOfAViewStays(DType dtype) {
    try (Scope scope = Scope.cpu()) {
      Tensor whole = scope.zeros(dtype, 4, 5);
      scope.own(whole.columns(1, 3)).fill(2);
      float[] values = whole.toFloatArray();
      for (int i = 0; i < values.length; i++) {
        assertEquals(i % 5 == 1 || i % 5 == 2 ? 2f : 0f, values[i], "[" + i + "]");
      }
    }
  }

  @Test
  void nothingToFillIsNoError() {
    try (Scope scope = Scope.cpu()) {
      scope.zeros(DType.F32, 0, 3).fill(1);
      scope.zeros(DType.F32, 3, 0).fill(1);
    }
  }
}
