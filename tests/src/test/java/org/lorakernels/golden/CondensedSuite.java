package org.lorakernels.golden;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.lorakernels.BackendUnavailableException;
import org.lorakernels.Device;
import org.lorakernels.DeviceInfo;
import org.lorakernels.numerics.RandomLayers;
import org.opentest4j.TestAbortedException;

/**
 * The golden vectors and some random layers as a program: what {@link KernelTableTest} runs for
 * each set of kernels.
 */
public final class CondensedSuite {
  static final int PASSED = 0;
  static final int FAILED = 1;
  static final int UNAVAILABLE = 2;

  private static final int SHOWN = 20;

  private static final List<GoldenSuite> GOLDEN =
      List.of(
          new FourBitGoldenTest(),
          new MatmulGoldenTest(),
          new LoraGoldenTest(),
          new QloraGoldenTest(),
          new AdamWGoldenTest(),
          new AdamWStatesGoldenTest());

  private CondensedSuite() {}

  /**
   * Prints the kernels in use, then the first failures; the exit code is one of the constants
   * above.
   */
  public static void main(String[] arguments) {
    System.exit(run());
  }

  private static int run() {
    try (Device device = Device.cpu()) {
      DeviceInfo info = device.info();
      System.out.println("kernels=" + info.kernels() + " (" + info.kernelsReason() + ")");
    } catch (BackendUnavailableException e) {
      System.out.println(e.getMessage());
      return UNAVAILABLE;
    }
    List<String> failures = new ArrayList<>();
    int passed = 0;
    for (DynamicTest test :
        Stream.concat(GOLDEN.stream().flatMap(GoldenSuite::cases), RandomLayers.cases()).toList()) {
      try {
        test.getExecutable().execute();
        passed++;
      } catch (TestAbortedException skipped) {
        System.out.println("skipped " + test.getDisplayName() + ": " + skipped.getMessage());
      } catch (Throwable failure) {
        failures.add(test.getDisplayName() + ": " + failure);
      }
    }
    failures.stream().limit(SHOWN).forEach(System.out::println);
    System.out.println(passed + " passed, " + failures.size() + " failed");
    return failures.isEmpty() && passed > 0 ? PASSED : FAILED;
  }
}
