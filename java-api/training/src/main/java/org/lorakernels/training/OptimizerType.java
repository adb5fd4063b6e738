package org.lorakernels.training;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.StateType;

/**
 * AdamW by how and where its states are kept, with the names of transformers' {@code
 * TrainingArguments.optim} where it has one.
 */
public enum OptimizerType {
  /** States in F32, in memory. */
  ADAMW_TORCH("adamw_torch", StateType.F32, false),
  /** States in BF16, in memory: half of F32's. transformers has no such choice. */
  ADAMW_BF16("adamw_bf16", StateType.BF16, false),
  /** States in 8 bits (of tensors below 4096 elements in F32), in memory: a quarter of F32's. */
  ADAMW_8BIT("adamw_8bit", StateType.EIGHT_BIT, false),
  /** States in F32; what exceeds {@link #budget} is in a scratch file and streams through. */
  PAGED_ADAMW_32BIT("paged_adamw_32bit", StateType.F32, true),
  /** States in 8 bits, paged as {@link #PAGED_ADAMW_32BIT}. */
  PAGED_ADAMW_8BIT("paged_adamw_8bit", StateType.EIGHT_BIT, true);

  /** Below this nothing is paged: the buffers for reading ahead would take as much. */
  private static final long LEAST_BUDGET = 64L << 20;

  private final String text;
  private final StateType stateType;
  private final boolean paged;

  OptimizerType(String text, StateType stateType, boolean paged) {
    this.text = text;
    this.stateType = stateType;
    this.paged = paged;
  }

  /** The type of that name, such as {@code paged_adamw_8bit}. */
  public static OptimizerType of(String name) {
    for (OptimizerType type : values()) {
      if (type.text.equals(name)) {
        return type;
      }
    }
    throw new InvalidArgumentException(
        "optim must be one of "
            + Arrays.stream(values()).map(OptimizerType::toString).collect(Collectors.joining(", "))
            + ", but is "
            + name);
  }

  /** How states are stored. */
  public StateType stateType() {
    return stateType;
  }

  /** Whether states may be in a file. */
  public boolean isPaged() {
    return paged;
  }

  /**
   * Bytes of memory that states may take: all of them, or where they are paged, a quarter, but at
   * least 64 MiB.
   *
   * @param stateBytes of all states
   */
  public long budget(long stateBytes) {
    return paged ? Math.min(stateBytes, Math.max(stateBytes / 4, LEAST_BUDGET)) : stateBytes;
  }

  @Override
  public String toString() {
    return text;
  }
}
