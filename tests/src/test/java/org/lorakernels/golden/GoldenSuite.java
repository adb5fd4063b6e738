package org.lorakernels.golden;

import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;

/**
 * Tests made from the case list of a golden file; they also run on their own, once for each set of
 * kernels.
 */
interface GoldenSuite {
  Stream<DynamicTest> cases();
}
