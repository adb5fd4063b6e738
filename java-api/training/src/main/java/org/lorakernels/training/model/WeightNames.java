package org.lorakernels.training.model;

import java.util.List;
import java.util.function.BiConsumer;

/** The names of weights in transformers' checkpoints, and their shapes. */
final class WeightNames {
  static final String EMBEDDING = "model.embed_tokens";
  static final String FINAL_NORM = "model.norm";
  static final String HEAD = "lm_head";
  static final String WEIGHT = ".weight";
  static final String BIAS = ".bias";

  static final String QUERY = "self_attn.q_proj";
  static final String KEY = "self_attn.k_proj";
  static final String VALUE = "self_attn.v_proj";
  static final String OUTPUT = "self_attn.o_proj";
  static final String QUERY_NORM = "self_attn.q_norm";
  static final String KEY_NORM = "self_attn.k_norm";
  static final String GATE = "mlp.gate_proj";
  static final String UP = "mlp.up_proj";
  static final String DOWN = "mlp.down_proj";

  /** The linear layers of a decoder layer, by the last part of their names. */
  static final List<String> PROJECTIONS =
      List.of("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj");

  private WeightNames() {}

  /** The module of a layer: {@code model.layers.0.self_attn.q_proj}. */
  static String module(int layer, String name) {
    return "model.layers." + layer + "." + name;
  }

  /** Tells the name and the shape of every weight of a model. */
  static void forEach(ModelConfig config, BiConsumer<String, long[]> visitor) {
    long hidden = config.hiddenSize();
    visitor.accept(EMBEDDING + WEIGHT, new long[] {config.vocabularySize(), hidden});
    if (!config.tiedHead()) {
      visitor.accept(HEAD + WEIGHT, new long[] {config.vocabularySize(), hidden});
    }
    visitor.accept(FINAL_NORM + WEIGHT, new long[] {hidden});
    for (int layer = 0; layer < config.layers().size(); layer++) {
      forEachOfLayer(config, layer, visitor);
    }
  }

  private static void forEachOfLayer(
      ModelConfig config, int layer, BiConsumer<String, long[]> visitor) {
    long hidden = config.hiddenSize();
    long inner = config.intermediateSize();
    Linears linears =
        (name, out, in, bias) -> {
          visitor.accept(module(layer, name) + WEIGHT, new long[] {out, in});
          if (bias) {
            visitor.accept(module(layer, name) + BIAS, new long[] {out});
          }
        };
    linears.visit(QUERY, config.querySize(), hidden, config.queryKeyValueBias());
    linears.visit(KEY, config.kvSize(), hidden, config.queryKeyValueBias());
    linears.visit(VALUE, config.kvSize(), hidden, config.queryKeyValueBias());
    linears.visit(OUTPUT, hidden, config.querySize(), config.outputBias());
    linears.visit(GATE, inner, hidden, config.feedForwardBias());
    linears.visit(UP, inner, hidden, config.feedForwardBias());
    linears.visit(DOWN, hidden, inner, config.feedForwardBias());
    Architecture.Norms norms = config.architecture().norms();
    for (String norm :
        new String[] {
          norms.beforeAttention,
          norms.afterAttention,
          norms.beforeFeedForward,
          norms.afterFeedForward
        }) {
      if (norm != null) {
        visitor.accept(module(layer, norm) + WEIGHT, new long[] {hidden});
      }
    }
    if (config.architecture().queryKeyNorms()) {
      visitor.accept(module(layer, QUERY_NORM) + WEIGHT, new long[] {config.headDim()});
      visitor.accept(module(layer, KEY_NORM) + WEIGHT, new long[] {config.headDim()});
    }
  }

  private interface Linears {
    void visit(String name, long out, long in, boolean bias);
  }
}
