/**
 * Combining LoRA adapters and merging them into models.
 *
 * <ul>
 *   <li>{@link org.lorakernels.merge.AdapterCombiner}: several adapters into one, by PEFT's methods
 *       and with PEFT's semantics ({@link org.lorakernels.merge.CombineMethod}).
 *   <li>{@link org.lorakernels.merge.TensorCombiner}: the same methods on plain tensors.
 *   <li>{@link org.lorakernels.merge.MergedWeight}: adapters into one weight, and out again.
 *   <li>{@link org.lorakernels.merge.SignConflicts}: how much adapters oppose one another.
 *   <li>{@link org.lorakernels.merge.CheckpointMerger}: adapters or fine-tuned models into a
 *       checkpoint.
 * </ul>
 */
package org.lorakernels.merge;
