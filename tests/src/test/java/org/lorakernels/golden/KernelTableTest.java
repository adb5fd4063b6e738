package org.lorakernels.golden;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.oracle.ChildJvm;

/**
 * Every set of kernels that this processor runs passes the golden vectors and random layers, in a
 * JVM of its own, since LORA_KERNELS_BACKEND is read once. A set that it cannot run is refused,
 * never replaced.
 */
class KernelTableTest {
  private static final String FORCE = "LORA_KERNELS_BACKEND";

  private static final Set<String> AVX2 = Set.of("avx2", "fma", "f16c");
  private static final Set<String> AVX512 =
      Set.of("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vbmi");

  /** The processor's features that each set needs, as Linux names them. */
  private static Set<String> needs(String table) {
    Set<String> needs = new HashSet<>();
    if (table.equals("avx2")) needs.addAll(AVX2);
    if (table.startsWith("avx512")) needs.addAll(AVX512);
    if (table.equals("avx512bf16")) needs.add("avx512_bf16");
    return needs;
  }

  @TempDir Path directory;

  @ParameterizedTest
  @ValueSource(strings = {"scalar", "avx2", "avx512", "avx512bf16"})
  void passesTheCondensedSuite(String table) throws Exception {
    if (!processorFeatures().containsAll(needs(table))) {
      assertRefused(table);
      Assumptions.abort("this processor lacks some of " + needs(table));
    }
    ChildJvm.Result result = run(table);
    assertEquals(CondensedSuite.PASSED, result.exitCode(), result.output());
    assertTrue(result.output().contains("kernels=" + table + " "), result.output());
    assertTrue(
        result.output().contains(FORCE),
        "the reason names what forced the choice: " + result.output());
  }

  @Test
  void refusesAnUnknownName() throws Exception {
    assertRefused("quantum");
  }

  private void assertRefused(String table) throws Exception {
    ChildJvm.Result result = run(table);
    assertEquals(CondensedSuite.UNAVAILABLE, result.exitCode(), result.output());
    assertTrue(result.output().contains(FORCE) && result.output().contains(table), result.output());
  }

  private ChildJvm.Result run(String table) throws IOException, InterruptedException {
    return ChildJvm.of(CondensedSuite.class)
        .property(GoldenFile.DIRECTORY_PROPERTY)
        .environment(FORCE, table)
        .run(directory.resolve(table + ".txt"));
  }

  private static Set<String> processorFeatures() throws IOException {
    Path description = Path.of("/proc/cpuinfo");
    if (!Files.isReadable(description)) return Set.of();
    return Files.readAllLines(description).stream()
        .filter(line -> line.startsWith("flags"))
        .findFirst()
        .map(
            line ->
                Set.copyOf(
                    Arrays.asList(line.substring(line.indexOf(':') + 1).trim().split("\\s+"))))
        .orElse(Set.of());
  }
}
