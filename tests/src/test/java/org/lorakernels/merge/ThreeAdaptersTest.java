package org.lorakernels.merge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.merge.ThreeAdapters.Losses;
import org.lorakernels.merge.ThreeAdapters.Size;
import org.lorakernels.merge.ThreeAdapters.Task;

/**
 * The example of three adapters, in small; with {@code -Dlk.three-adapters=full} as large as in
 * bench/RESULTS.md. Its table is in {@code tests/target/three-adapters.md}.
 */
class ThreeAdaptersTest {
  private static final Path HOME = Path.of(System.getProperty("lk.home"));

  @Test
  void whatIsCombinedKnowsSomethingOfEveryTask(@TempDir Path work) throws IOException {
    boolean full = "full".equals(System.getProperty("lk.three-adapters"));
    List<Losses> results =
        ThreeAdapters.compare(
            HOME.resolve("java-api/cli/quickstart/base"), work, full ? Size.FULL : Size.SMALL);
    String table = ThreeAdapters.table(results);
    Files.writeString(HOME.resolve("tests/target/three-adapters.md"), table);
    Map<String, Losses> byModel =
        results.stream().collect(Collectors.toMap(Losses::model, losses -> losses));
    assertEquals(results.size(), byModel.size(), table);
    Losses base = byModel.get("base");
    for (Task task : Task.values()) {
      double own = byModel.get("adapter of " + task).byTask()[task.ordinal()];
      assertTrue(own < 0.7 * base.byTask()[task.ordinal()], task + " was learnt\n" + table);
      for (Task other : Task.values()) {
        double others = byModel.get("adapter of " + other).byTask()[task.ordinal()];
        assertTrue(own <= others, "each adapter is the best at its own task\n" + table);
      }
    }
    // dropping a tenth at random, and what is left scaled up, is nearly the sum
    double sum = byModel.get("cat").mean();
    assertEquals(sum, byModel.get("dare_linear_svd 0.9").mean(), 0.2 * sum, table);
    assertTrue(sum < base.mean(), "the sum knows more than the base\n" + table);
  }
}
