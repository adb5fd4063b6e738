package org.lorakernels;

/**
 * What an optimiser updates.
 *
 * @param name for messages and checkpoints
 * @param value F32 or BF16, contiguous; updated in place
 * @param gradient F32 or BF16, contiguous, the shape of {@code value}
 */
public record Parameter(String name, Tensor value, Tensor gradient) {}
