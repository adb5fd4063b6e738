package org.lorakernels.oracle;

import org.lorakernels.Device;

/**
 * The device that tests tagged {@link #TAG} run on: the CPU, or the GPU where {@code
 * -Dlk.test.device=cuda} asks for it. That is an emulated one where the library of the emulator is
 * loaded, as the build does in a run of its own, and a real one on a machine that has it.
 */
public final class TestDevice {
  /** Tag of tests that run on any device. */
  public static final String TAG = "device";

  /** Tag of tests that need the emulator. */
  public static final String EMULATOR = "emulator";

  /** Tag of tests that need a real GPU; left out of a build. */
  public static final String GPU = "gpu";

  private TestDevice() {}

  public static boolean isCuda() {
    return System.getProperty("lk.test.device", "cpu").equals("cuda");
  }

  public static Device open() {
    return isCuda() ? Device.cuda(0) : Device.cpu();
  }
}
