package org.lorakernels.training.memory;

/**
 * What a run needs, in bytes.
 *
 * @param weights of the base model, as they are held; those that stay in the mapped file included
 * @param trainable adapters, or the F32 copies of trained weights, and their gradients
 * @param optimizer moments of AdamW
 * @param activations what forward keeps for backward, and what layers compute in
 * @param workspace what kernels take for themselves
 * @param runtime the Java machine, its heap and the libraries
 */
public record MemoryPlan(
    long weights, long trainable, long optimizer, long activations, long workspace, long runtime) {
  /** On the device: all but the runtime. */
  public long device() {
    return weights + trainable + optimizer + activations + workspace;
  }

  /** Of the process, where the device is the CPU. */
  public long total() {
    return device() + runtime;
  }
}
