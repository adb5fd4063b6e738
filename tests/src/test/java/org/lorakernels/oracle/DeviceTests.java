package org.lorakernels.oracle;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectPackage;
import static org.junit.platform.launcher.TagFilter.includeTags;

import java.io.PrintWriter;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;

/**
 * Runs the tests tagged {@code device} and {@code gpu} without a build tool: for a machine that has
 * a GPU and this program's class path, and nothing else.
 */
public final class DeviceTests {
  private DeviceTests() {}

  /** Ends with 1 where a test failed, or none ran. */
  public static void main(String[] arguments) {
    LauncherDiscoveryRequest request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(
                selectPackage("org.lorakernels.golden"),
                selectPackage("org.lorakernels.numerics"),
                selectPackage("org.lorakernels.model"))
            .filters(includeTags(TestDevice.TAG, TestDevice.GPU))
            .build();
    SummaryGeneratingListener listener = new SummaryGeneratingListener();
    Launcher launcher = LauncherFactory.create();
    launcher.execute(request, listener);
    PrintWriter out = new PrintWriter(System.out, true);
    listener.getSummary().printFailuresTo(out, 20);
    listener.getSummary().printTo(out);
    boolean passed =
        listener.getSummary().getTotalFailureCount() == 0
            && listener.getSummary().getTestsSucceededCount() > 0;
    System.exit(passed ? 0 : 1);
  }
}
