package org.lorakernels.training.model;

import java.util.Arrays;
import java.util.List;
import org.lorakernels.UnsupportedException;

/**
 * The architectures that can be loaded, and what tells them apart beside the numbers of {@link
 * ModelConfig}. All are decoders with RMS norms, rotary positions, grouped heads and gated
 * feed-forward networks.
 */
public enum Architecture {
  /** Llama 2 and 3.x: arXiv:2307.09288, arXiv:2407.21783. */
  LLAMA("LlamaForCausalLM", Norms.BEFORE, false, 0f, false),
  /** Mistral: arXiv:2310.06825. */
  MISTRAL("MistralForCausalLM", Norms.BEFORE, false, 0f, false),
  /** Qwen 2 and 2.5: arXiv:2407.10671. */
  QWEN2("Qwen2ForCausalLM", Norms.BEFORE, false, 0f, false),
  /** Qwen 3: arXiv:2505.09388. */
  QWEN3("Qwen3ForCausalLM", Norms.BEFORE, true, 0f, false),
  /** Gemma 2: arXiv:2408.00118. */
  GEMMA2("Gemma2ForCausalLM", Norms.BEFORE_AND_AFTER, false, 1f, true);

  /** Where a layer normalises, and what transformers calls those modules. */
  enum Norms {
    /** Before attention and before the feed-forward network. */
    BEFORE("input_layernorm", null, "post_attention_layernorm", null),
    /** Before and after both; what comes out is normalised before it is added. */
    BEFORE_AND_AFTER(
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm");

    final String beforeAttention;
    final String afterAttention;
    final String beforeFeedForward;
    final String afterFeedForward;

    Norms(
        String beforeAttention,
        String afterAttention,
        String beforeFeedForward,
        String afterFeedForward) {
      this.beforeAttention = beforeAttention;
      this.afterAttention = afterAttention;
      this.beforeFeedForward = beforeFeedForward;
      this.afterFeedForward = afterFeedForward;
    }
  }

  private final String className;
  private final Norms norms;
  private final boolean queryKeyNorms;
  private final float normOffset;
  private final boolean scaledEmbedding;

  Architecture(
      String className,
      Norms norms,
      boolean queryKeyNorms,
      float normOffset,
      boolean scaledEmbedding) {
    this.className = className;
    this.norms = norms;
    this.queryKeyNorms = queryKeyNorms;
    this.normOffset = normOffset;
    this.scaledEmbedding = scaledEmbedding;
  }

  /**
   * The architecture of a checkpoint.
   *
   * @param className what {@code architectures} in {@code config.json} names
   * @throws UnsupportedException if it is none of these
   */
  static Architecture named(String className) {
    for (Architecture architecture : values()) {
      if (architecture.className.equals(className)) {
        return architecture;
      }
    }
    throw new UnsupportedException(
        "model: architecture \""
            + className
            + "\" is not known; known are "
            + String.join(", ", classNames()));
  }

  private static List<String> classNames() {
    return Arrays.stream(values()).map(Architecture::className).toList();
  }

  /** The name of transformers' class: {@code LlamaForCausalLM}. */
  public String className() {
    return className;
  }

  /** Whether attention and feed-forward network are normalised after as well as before. */
  public boolean normalizesAfter() {
    return norms == Norms.BEFORE_AND_AFTER;
  }

  /** Whether every query and key head is normalised before it is rotated. */
  public boolean queryKeyNorms() {
    return queryKeyNorms;
  }

  /** What is added to the weight of a norm: 1 where weights are stored as differences from 1. */
  public float normOffset() {
    return normOffset;
  }

  /** Whether embeddings are multiplied by sqrt(hidden size). */
  public boolean scalesEmbedding() {
    return scaledEmbedding;
  }

  Norms norms() {
    return norms;
  }
}
