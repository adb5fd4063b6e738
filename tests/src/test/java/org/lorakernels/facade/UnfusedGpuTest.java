package org.lorakernels.facade;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.lorakernels.BackendUnavailableException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.TestDevice;

/** The unfused path of a GPU where cuBLAS' presets are not on the class path: what is missing. */
@Tag(TestDevice.EMULATOR)
class UnfusedGpuTest {
  @Test
  void saysThatCuBlasIsAbsent() {
    try (Device gpu = Device.cuda(0);
        Tensor x = Tensor.zeros(gpu, DType.F32, 2, 8);
        Tensor weight = Tensor.zeros(gpu, DType.F32, 4, 8);
        Tensor a = Tensor.zeros(gpu, DType.F32, 2, 8);
        Tensor b = Tensor.zeros(gpu, DType.F32, 4, 2);
        LoraAdapter adapter = LoraAdapter.of(LoraConfig.rank(2), a, b)) {
      BackendUnavailableException thrown =
          assertThrows(
              BackendUnavailableException.class,
              () -> LoraKernels.unfusedForward(x, weight, adapter));
      for (String part :
          new String[] {"unfusedForward", "cuBLAS", "org.bytedeco:cuda", "libcublas"}) {
        assertTrue(thrown.getMessage().contains(part), thrown.getMessage());
      }
    }
  }
}
