/**
 * Hugging Face checkpoints: a directory with {@code config.json}, safetensors and a tokenizer.
 *
 * <p>Weights are dense (F32, BF16, F16) or in bitsandbytes' 4-bit layout, in which a weight {@code
 * P} [rows, cols] of n elements becomes
 *
 * <pre>
 *   P                                     U8  [(n + 1) / 2, 1]    two codes a byte
 *   P.absmax                              F32 [blocks]            or, double-quantised, U8 [blocks]
 *   P.quant_map                           F32 [16]                the code book
 *   P.nested_absmax                       F32 [blocks / 256]      double-quantised only
 *   P.nested_quant_map                    F32 [256]               double-quantised only
 *   P.quant_state.bitsandbytes__nf4       U8  [bytes]             JSON: type, block size, dtype, shape, ...
 * </pre>
 *
 * {@link org.lorakernels.huggingface.Checkpoint} reads both, {@link
 * org.lorakernels.huggingface.CheckpointQuantizer} turns the first into the second. {@link
 * org.lorakernels.huggingface.ModelWriter} writes what is made of a checkpoint.
 */
package org.lorakernels.huggingface;
