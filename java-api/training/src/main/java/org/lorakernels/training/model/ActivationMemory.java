package org.lorakernels.training.model;

import org.lorakernels.DType;

/**
 * How much memory a {@link CausalLm} takes for activations, without loading one: summed over the
 * very buffers that it would make. What operations take for themselves comes on top (at most 16 MiB
 * for slices of logits, or one row of them, and 2 MiB for products), and so do DoRA's intermediate
 * results and, in generation, keys and values.
 */
public final class ActivationMemory {
  private ActivationMemory() {}

  /**
   * Bytes of a step of training.
   *
   * @param compute type of activations
   * @param checkpointing as {@link CausalLm#checkpointing}
   * @param tokens of the largest batch, padding included
   */
  public static long training(
      ModelConfig config, DType compute, boolean checkpointing, long tokens) {
    Tape.Mode mode = checkpointing ? Tape.Mode.LAYER_INPUTS : Tape.Mode.ALL;
    return new Tape(null, config, compute, mode).byteSize(tokens)
        + new Scratch(null, config, compute).byteSize(tokens, true);
  }

  /**
   * Bytes of a pass without gradients.
   *
   * @param compute type of activations
   * @param tokens of the largest batch, padding included
   */
  public static long evaluation(ModelConfig config, DType compute, long tokens) {
    return new Tape(null, config, compute, Tape.Mode.NONE).byteSize(tokens)
        + new Scratch(null, config, compute).byteSize(tokens, false);
  }

  /**
   * Bytes of the keys and values of a decoder.
   *
   * @param compute type of activations
   * @param capacity tokens of the decoder
   */
  public static long cache(ModelConfig config, DType compute, long capacity) {
    return 2L * config.layers().size() * config.kvSize() * capacity * compute.bytes();
  }
}
