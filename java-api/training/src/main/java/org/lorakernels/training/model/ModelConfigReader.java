package org.lorakernels.training.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.lorakernels.Activation;
import org.lorakernels.DType;
import org.lorakernels.UnsupportedException;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonNull;
import org.lorakernels.json.JsonObject;

/**
 * Reads {@code config.json}. Files of transformers 4 and 5 differ in two places: {@code
 * torch_dtype} became {@code dtype}, and {@code rope_theta} with {@code rope_scaling} became {@code
 * rope_parameters}, which may differ by layer type. Members that are absent have the defaults of
 * the architecture's class in transformers; a member that is null is switched off. Dropout inside
 * attention ({@code attention_dropout}, 0 in released checkpoints) is not applied.
 */
final class ModelConfigReader {
  private static final String SLIDING = "sliding_attention";
  private static final String FULL = "full_attention";

  private static final Map<String, Activation> ACTIVATIONS =
      Map.of(
          "silu", Activation.SILU,
          "swish", Activation.SILU,
          "gelu", Activation.GELU,
          "gelu_pytorch_tanh", Activation.GELU_TANH,
          "gelu_new", Activation.GELU_TANH);

  private final JsonObject json;
  private final Architecture architecture;

  ModelConfigReader(JsonObject json) {
    this.json = json;
    List<String> names = json.array("architectures").strings();
    if (names.size() != 1) {
      throw new JsonException("\"architectures\": expected one name, but there are " + names);
    }
    this.architecture = Architecture.named(names.get(0));
  }

  ModelConfig read() {
    int hidden = size("hidden_size");
    int heads = size("num_attention_heads");
    boolean gemma = architecture == Architecture.GEMMA2;
    boolean mistral = architecture == Architecture.MISTRAL;
    boolean qwen2 = architecture == Architecture.QWEN2;
    int headDim =
        size(
            "head_dim",
            switch (architecture) {
              case GEMMA2 -> 256;
              case QWEN3 -> 128;
              default -> hidden / heads;
            });
    int kvHeads =
        size(
            "num_key_value_heads",
            switch (architecture) {
              case LLAMA -> heads;
              case MISTRAL -> 8;
              case QWEN2, QWEN3 -> 32;
              case GEMMA2 -> 4;
            });
    if (heads % kvHeads != 0) {
      throw new JsonException(
          "\"num_key_value_heads\": expected a divisor of "
              + heads
              + " (heads), but is "
              + kvHeads);
    }
    if (gemma && flag("use_bidirectional_attention", false)) {
      throw new UnsupportedException(
          "model: \"use_bidirectional_attention\": only causal attention is computed; this"
              + " checkpoint is an encoder");
    }
    boolean attentionBias = !qwen2 && !mistral && flag("attention_bias", false);
    double scalar = gemma ? number("query_pre_attn_scalar", 256) : headDim;
    return new ModelConfig(
        architecture,
        size("vocab_size"),
        hidden,
        size("intermediate_size"),
        heads,
        kvHeads,
        headDim,
        maxPositions(),
        (float) number("rms_norm_eps", 1e-6),
        activation(),
        qwen2 || attentionBias,
        attentionBias,
        architecture == Architecture.LLAMA && flag("mlp_bias", false),
        flag("tie_word_embeddings", gemma),
        (float) (1 / Math.sqrt(scalar)),
        gemma ? (float) switchable("attn_logit_softcapping", 50) : 0,
        gemma ? (float) switchable("final_logit_softcapping", 30) : 0,
        layers(),
        dtype().orElse(null));
  }

  // ---- layers

  private List<ModelConfig.LayerAttention> layers() {
    int count = size("num_hidden_layers");
    List<String> types = layerTypes(count);
    int window = window();
    List<ModelConfig.LayerAttention> layers = new ArrayList<>();
    for (String type : types) {
      boolean sliding = type.equals(SLIDING);
      if (sliding && window == 0) {
        throw new JsonException("\"layer_types\": sliding attention needs \"sliding_window\"");
      }
      layers.add(new ModelConfig.LayerAttention(sliding ? window : 0, rope(type)));
    }
    return layers;
  }

  /** The window of layers that have one; 0: there is none. */
  private int window() {
    return switch (architecture) {
      case LLAMA -> 0;
      case MISTRAL, GEMMA2 -> (int) switchable("sliding_window", 4096);
      case QWEN2, QWEN3 ->
          flag("use_sliding_window", false) ? (int) switchable("sliding_window", 4096) : 0;
    };
  }

  private List<String> layerTypes(int count) {
    Optional<JsonArray> given = json.findArray("layer_types");
    if (given.isPresent()) {
      List<String> types = given.get().strings();
      if (types.size() != count) {
        throw new JsonException(
            "\"layer_types\": expected " + count + " (num_hidden_layers), but are " + types.size());
      }
      types.forEach(ModelConfigReader::requireKnown);
      return types;
    }
    int window = window();
    long from = json.findInteger("max_window_layers").orElse(28L);
    List<String> types = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      boolean sliding =
          switch (architecture) {
            case LLAMA -> false;
            case MISTRAL -> true;
            case GEMMA2 -> i % 2 == 0;
            case QWEN2, QWEN3 -> i >= from;
          };
      types.add(sliding && window > 0 ? SLIDING : FULL);
    }
    return types;
  }

  private static void requireKnown(String layerType) {
    if (!layerType.equals(SLIDING) && !layerType.equals(FULL)) {
      throw new UnsupportedException(
          "model: layer type \""
              + layerType
              + "\" is not known; known are "
              + FULL
              + ", "
              + SLIDING);
    }
  }

  private RopeConfig rope(String layerType) {
    double theta = number("rope_theta", 10000);
    long positions = maxPositions();
    JsonObject parameters =
        json.findObject("rope_parameters")
            .or(() -> json.findObject("rope_scaling"))
            .orElseGet(JsonObject::new);
    Optional<JsonObject> own = parameters.findObject(layerType);
    JsonObject rope = new JsonObject(own.orElse(parameters));
    json.findNumber("partial_rotary_factor")
        .filter(factor -> !rope.has("partial_rotary_factor"))
        .ifPresent(factor -> rope.put("partial_rotary_factor", factor));
    if (own.isEmpty()) { // transformers lets the member outside win, but not over layer types
      json.findInteger(RopeConfig.ORIGINAL)
          .ifPresent(original -> rope.put(RopeConfig.ORIGINAL, original));
    }
    return RopeConfig.of(rope, theta, positions);
  }

  private long maxPositions() {
    return json.findInteger("max_position_embeddings")
        .orElse(
            switch (architecture) {
              case LLAMA -> 2048L;
              case MISTRAL -> 131072L;
              case QWEN2, QWEN3 -> 32768L;
              case GEMMA2 -> 8192L;
            });
  }

  // ---- members

  private Activation activation() {
    String name =
        json.findString("hidden_activation")
            .or(() -> json.findString("hidden_act"))
            .orElse(architecture == Architecture.GEMMA2 ? "gelu_pytorch_tanh" : "silu");
    Activation activation = ACTIVATIONS.get(name);
    if (activation == null) {
      throw new UnsupportedException(
          "model: activation \"" + name + "\" is not known; known are " + ACTIVATIONS.keySet());
    }
    return activation;
  }

  private Optional<DType> dtype() {
    return json.findString("dtype")
        .or(() -> json.findString("torch_dtype"))
        .map(
            name ->
                switch (name) {
                  case "float32" -> DType.F32;
                  case "bfloat16" -> DType.BF16;
                  case "float16" -> DType.F16;
                  default ->
                      throw new UnsupportedException(
                          "model: dtype \""
                              + name
                              + "\" is not computed; float32, bfloat16 and float16 are");
                });
  }

  private int size(String name) {
    return positive(name, json.integer(name));
  }

  private int size(String name, int otherwise) {
    return positive(name, json.findInteger(name).orElse((long) otherwise));
  }

  private static int positive(String name, long value) {
    if (value < 1 || value > Integer.MAX_VALUE) {
      throw new JsonException("\"" + name + "\": expected 1 ... 2^31 - 1, but is " + value);
    }
    return (int) value;
  }

  private double number(String name, double otherwise) {
    return json.findNumber(name).orElse(otherwise);
  }

  private boolean flag(String name, boolean otherwise) {
    return json.findBool(name).orElse(otherwise);
  }

  /** A number that null switches off; 0 then. */
  private double switchable(String name, double otherwise) {
    return json.get(name) == JsonNull.NULL ? 0 : number(name, otherwise);
  }
}
