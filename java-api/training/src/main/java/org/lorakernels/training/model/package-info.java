/**
 * Decoder-only language models from Hugging Face checkpoints: forward and backward, layer by layer,
 * without an autograd engine; adapters, full fine-tuning, generation.
 *
 * <p>{@link org.lorakernels.training.model.CausalLm} is the way in, {@link
 * org.lorakernels.training.model.ModelConfig} says what a model is made of. Inside:
 *
 * <pre>
 *   ids -> Embedding -> DecoderLayer 0 ... n-1 -> RmsNorm -> Head -> loss, or logits
 *                       (AttentionBlock, FeedForward: of Linear, RmsNorm and RopeTable)
 * </pre>
 *
 * What differs between architectures is data ({@link org.lorakernels.training.model.Architecture},
 * {@link org.lorakernels.training.model.ModelConfig}); there is one decoder layer. Activations live
 * in {@code Workspace}s, which grow to the largest batch and are used again in every step.
 */
package org.lorakernels.training.model;
