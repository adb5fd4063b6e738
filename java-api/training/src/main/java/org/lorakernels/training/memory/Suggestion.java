package org.lorakernels.training.memory;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lorakernels.StateType;
import org.lorakernels.training.OptimizerType;

/**
 * Other settings, and what they need.
 *
 * @param change what differs, in the words of the settings
 * @param settings the whole
 * @param plan what they need
 */
public record Suggestion(String change, MemorySettings settings, MemoryPlan plan) {
  private static final int SHORTEST = 64;

  /** Every change that could help, the most harmless first. */
  static List<Suggestion> all(MemoryPlanner planner, MemorySettings now) {
    Map<String, MemorySettings> changes = new LinkedHashMap<>();
    if (!now.checkpointing()) {
      changes.put("gradient checkpointing", now.withCheckpointing());
    }
    for (int size = now.batchSize() / 2; size >= 1; size /= 2) {
      String batch =
          "batch size "
              + size
              + " with "
              + (now.batchSize() + size - 1) / size
              + " times the gradient accumulation steps";
      changes.put(batch, now.withBatchSize(size));
      changes.put(
          "gradient checkpointing and " + batch, now.withBatchSize(size).withCheckpointing());
    }
    if (now.optimizer().stateType() != StateType.EIGHT_BIT) {
      changes.put(
          "optimiser states in 8 bits (adamw_8bit)", now.withOptimizer(OptimizerType.ADAMW_8BIT));
    }
    if (!now.optimizer().isPaged()) {
      changes.put(
          "optimiser states in 8 bits, paged (paged_adamw_8bit)",
          now.withOptimizer(OptimizerType.PAGED_ADAMW_8BIT));
    }
    boolean frozen = now.lora() != null;
    MemorySettings fourBits = now.withLoad(now.load().bits(4).doubleQuantized(true));
    if (frozen) {
      changes.put("4 bits with double quantisation", fourBits);
    }
    for (int length = now.maxLength() / 2; length >= SHORTEST; length /= 2) {
      changes.put("max length " + length, now.withMaxLength(length));
    }
    MemorySettings smallest =
        (frozen ? fourBits : now)
            .withCheckpointing()
            .withBatchSize(1)
            .withOptimizer(OptimizerType.PAGED_ADAMW_8BIT);
    String together =
        (frozen ? "4 bits with double quantisation, " : "")
            + "gradient checkpointing, batch size 1, paged_adamw_8bit";
    changes.put(together, smallest);
    for (int length = now.maxLength() / 2; length >= SHORTEST; length /= 2) {
      changes.put(together + ", max length " + length, smallest.withMaxLength(length));
    }
    List<Suggestion> all = new ArrayList<>();
    changes.forEach(
        (change, settings) -> all.add(new Suggestion(change, settings, planner.plan(settings))));
    return all;
  }
}
