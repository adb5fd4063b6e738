package org.lorakernels.facade;

import org.lorakernels.BackendAvailability;
import org.lorakernels.BackendUnavailableException;
import org.lorakernels.Device;

/** Prints which backends exist, and what opening a device throws. */
final class LoadReport {
  private LoadReport() {}

  public static void main(String[] arguments) {
    for (BackendAvailability one : Device.availability()) {
      System.out.println(
          one.backend() + ": " + (one.available() ? "yes: " : "no: ") + one.reason());
    }
    try (Device device = Device.best()) {
      System.out.println("best: " + device.backend());
    } catch (BackendUnavailableException unavailable) {
      System.out.println("best: " + unavailable.getMessage());
    }
  }
}
