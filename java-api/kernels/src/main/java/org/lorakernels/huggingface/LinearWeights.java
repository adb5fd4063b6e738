package org.lorakernels.huggingface;

import java.util.Set;
import java.util.regex.Pattern;

/**
 * Which weights of a checkpoint belong to linear layers: told by their names, since a checkpoint
 * does not say what class a module has.
 */
final class LinearWeights {
  /** The projections of the decoder architectures (Llama, Mistral, Qwen, Gemma and their kin). */
  private static final Set<String> PROJECTIONS =
      Set.of("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj");

  /** Heads, embeddings and norms, which stay as they are. */
  private static final Pattern KEPT =
      Pattern.compile("(^|[._])(lm_head|embed\\w*|wte|wpe|\\w*norm\\w*|ln_\\w+|ln\\d?)([._]|$)");

  private static final String WEIGHT = ".weight";

  /** What a weight is. */
  enum Role {
    /** A linear layer that transformers would quantise. */
    PROJECTION,
    /** A head, embedding or norm, a bias, or not a matrix. */
    KEPT,
    /** A matrix of a module that this library does not know. */
    UNKNOWN
  }

  private LinearWeights() {}

  /** The role of a weight by its name and shape. */
  static Role role(String name, long[] shape) {
    if (shape.length != 2 || shape[0] * shape[1] == 0 || !name.endsWith(WEIGHT)) {
      return Role.KEPT;
    }
    String module = module(name);
    if (PROJECTIONS.contains(module.substring(module.lastIndexOf('.') + 1))) {
      return Role.PROJECTION;
    }
    return KEPT.matcher(module).find() ? Role.KEPT : Role.UNKNOWN;
  }

  /** The module of a weight: its name without {@code .weight}. */
  static String module(String weight) {
    return weight.endsWith(WEIGHT)
        ? weight.substring(0, weight.length() - WEIGHT.length())
        : weight;
  }
}
