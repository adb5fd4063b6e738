package org.lorakernels.training.memory;

import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.OptimizerType;
import org.lorakernels.training.model.LoadOptions;
import org.lorakernels.training.model.LoraSpec;

/**
 * What decides how much memory a run needs, beside the model. Immutable.
 *
 * @param load how weights are held
 * @param lora the adapters; null: all dense weights are trained
 * @param batchSize sequences of one pass
 * @param maxLength tokens of the longest sequence
 * @param checkpointing whether activations inside layers are computed again in backward
 * @param evaluates whether there are evaluations during training
 * @param text whether a tokenizer makes the data; false: they are token ids
 * @param optimizer how its states are kept
 */
public record MemorySettings(
    LoadOptions load,
    LoraSpec lora,
    int batchSize,
    int maxLength,
    boolean checkpointing,
    boolean evaluates,
    boolean text,
    OptimizerType optimizer) {

  /** Settings with the states of AdamW in F32. */
  public MemorySettings(
      LoadOptions load,
      LoraSpec lora,
      int batchSize,
      int maxLength,
      boolean checkpointing,
      boolean evaluates,
      boolean text) {
    this(
        load,
        lora,
        batchSize,
        maxLength,
        checkpointing,
        evaluates,
        text,
        OptimizerType.ADAMW_TORCH);
  }

  /**
   * Checks.
   *
   * @throws InvalidArgumentException if batch size or length are below 1
   */
  public MemorySettings {
    if (batchSize < 1 || maxLength < 1) {
      throw new InvalidArgumentException(
          "MemorySettings: batch size and max length must be at least 1, but are "
              + batchSize
              + " and "
              + maxLength);
    }
  }

  /** Tokens of one pass, where every sequence is as long as the longest. */
  public long tokens() {
    return (long) batchSize * maxLength;
  }

  /** The same with another optimiser. */
  public MemorySettings withOptimizer(OptimizerType value) {
    return new MemorySettings(
        load, lora, batchSize, maxLength, checkpointing, evaluates, text, value);
  }

  MemorySettings withLoad(LoadOptions value) {
    return new MemorySettings(
        value, lora, batchSize, maxLength, checkpointing, evaluates, text, optimizer);
  }

  MemorySettings withBatchSize(int value) {
    return new MemorySettings(
        load, lora, value, maxLength, checkpointing, evaluates, text, optimizer);
  }

  MemorySettings withMaxLength(int value) {
    return new MemorySettings(
        load, lora, batchSize, value, checkpointing, evaluates, text, optimizer);
  }

  MemorySettings withCheckpointing() {
    return new MemorySettings(load, lora, batchSize, maxLength, true, evaluates, text, optimizer);
  }
}
