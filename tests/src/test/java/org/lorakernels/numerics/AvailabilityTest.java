package org.lorakernels.numerics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.lorakernels.Backend;
import org.lorakernels.BackendAvailability;
import org.lorakernels.BackendUnavailableException;
import org.lorakernels.Device;

/** The library loads and chooses a device on any machine, with or without a GPU or its driver. */
class AvailabilityTest {

  @Test
  void everyBackendIsListedWithAReason() {
    List<BackendAvailability> all = Device.availability();
    assertEquals(
        List.of(Backend.values()), all.stream().map(BackendAvailability::backend).toList());
    for (BackendAvailability one : all)
      assertFalse(one.reason().isBlank(), one.backend() + " gives no reason");
    assertTrue(available(Backend.CPU));
  }

  @Test
  void theBestDeviceIsTheGpuWhereThereIsOneAndOtherwiseTheProcessor() {
    try (Device best = Device.best()) {
      assertEquals(available(Backend.CUDA) ? Backend.CUDA : Backend.CPU, best.backend());
      assertFalse(best.info().name().isBlank());
    }
  }

  @Test
  void aMissingGpuIsAnExceptionThatSaysWhy() {
    Assumptions.assumeFalse(available(Backend.CUDA), "this machine has a GPU");
    Throwable thrown = assertThrows(BackendUnavailableException.class, () -> Device.cuda(0));
    assertTrue(thrown.getMessage().contains("CUDA"), thrown.getMessage());
  }

  private static boolean available(Backend backend) {
    return Device.availability().stream()
        .anyMatch(one -> one.backend() == backend && one.available());
  }
}
