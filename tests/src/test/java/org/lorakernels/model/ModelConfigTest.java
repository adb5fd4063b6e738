package org.lorakernels.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.Activation;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.UnsupportedException;
import org.lorakernels.golden.GoldenFile;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.training.model.Architecture;
import org.lorakernels.training.model.ModelConfig;
import org.lorakernels.training.model.RopeConfig;

/** config.json of transformers 4 and 5, its defaults, and what is refused by name. */
class ModelConfigTest {
  @TempDir Path directory;

  private ModelConfig parse(String members) {
    try {
      Files.writeString(
          directory.resolve("config.json"),
          "{\"vocab_size\": 10, \"hidden_size\": 32, \"intermediate_size\": 24,"
              + " \"num_hidden_layers\": 4, \"num_attention_heads\": 8, "
              + members
              + "}");
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
    return ModelConfig.read(directory);
  }

  private static List<Integer> windows(ModelConfig config) {
    return config.layers().stream().map(ModelConfig.LayerAttention::window).toList();
  }

  @Test
  void readsTransformers4AndItsDefaults() {
    ModelConfig config =
        parse(
            "\"architectures\": [\"LlamaForCausalLM\"], \"torch_dtype\": \"bfloat16\","
                + " \"rope_theta\": 500000.0, \"rms_norm_eps\": 1e-05,"
                + " \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0,"
                + " \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,"
                + " \"original_max_position_embeddings\": 8192}");
    assertEquals(Architecture.LLAMA, config.architecture());
    assertEquals(DType.BF16, config.dtype());
    assertEquals(8, config.kvHeads());
    assertEquals(4, config.headDim());
    assertEquals(1e-5f, config.normEpsilon());
    assertEquals(Activation.SILU, config.activation());
    assertFalse(config.tiedHead());
    assertEquals(0.5f, config.attentionScale());
    RopeConfig rope = config.layers().get(3).rope();
    assertEquals(RopeConfig.Type.LLAMA3, rope.type());
    assertEquals(500000, rope.theta());
    assertEquals(8192, rope.originalPositions());
  }

  @Test
  void readsRotaryPositionsByLayerType() {
    ModelConfig config =
        parse(
            "\"architectures\": [\"Qwen3ForCausalLM\"], \"dtype\": \"float16\", \"head_dim\": 8,"
                + " \"num_key_value_heads\": 2, \"use_sliding_window\": true, \"sliding_window\": 5,"
                + " \"layer_types\": [\"full_attention\", \"sliding_attention\","
                + " \"full_attention\", \"sliding_attention\"], \"rope_parameters\":"
                + " {\"full_attention\": {\"rope_type\": \"linear\", \"factor\": 8.0,"
                + " \"rope_theta\": 1e6},"
                + " \"sliding_attention\": {\"rope_type\": \"default\", \"rope_theta\": 1e4}}");
    assertEquals(DType.F16, config.dtype());
    assertEquals(List.of(0, 5, 0, 5), windows(config));
    assertEquals(1e6, config.layers().get(0).rope().theta());
    assertEquals(RopeConfig.Type.LINEAR, config.layers().get(2).rope().type());
    assertEquals(RopeConfig.Type.DEFAULT, config.layers().get(1).rope().type());
    assertEquals(1e4, config.layers().get(3).rope().theta());
  }

  /** As transformers standardises them. */
  @Test
  void readsTheOriginalContextFromWhereItStands() {
    String yarn = "\"architectures\": [\"LlamaForCausalLM\"], \"max_position_embeddings\": 64,";
    RopeConfig outside =
        parse(
                yarn
                    + "\"original_max_position_embeddings\": 16, \"rope_scaling\": {\"type\":"
                    + " \"yarn\", \"factor\": null, \"original_max_position_embeddings\": 8}")
            .layers()
            .get(0)
            .rope();
    assertEquals(16, outside.originalPositions());
    assertEquals(4, outside.factor());
    assertEquals(0.1 * Math.log(4) + 1, outside.attentionFactor());
    RopeConfig none =
        parse(yarn + "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2.0}")
            .layers()
            .get(0)
            .rope();
    assertEquals(64, none.originalPositions());
  }

  @ParameterizedTest
  @CsvSource({
    "Mistral, '\"num_key_value_heads\": 2, \"sliding_window\": 7', 7 7 7 7",
    "Mistral, '\"sliding_window\": null', 0 0 0 0",
    "Mistral, '\"num_key_value_heads\": 2', 4096 4096 4096 4096",
    "Gemma2, '\"sliding_window\": 9', 9 0 9 0",
    "Qwen2, '\"num_key_value_heads\": 2, \"sliding_window\": 6, \"use_sliding_window\": false',"
        + " 0 0 0 0",
    "Qwen2, '\"num_key_value_heads\": 2, \"sliding_window\": 6, \"use_sliding_window\": true,"
        + " \"max_window_layers\": 3', 0 0 0 6",
  })
  void findsTheWindowsOfLayers(String name, String members, String expected) {
    ModelConfig config = parse("\"architectures\": [\"" + name + "ForCausalLM\"], " + members);
    List<Integer> windows = Arrays.stream(expected.split(" ")).map(Integer::valueOf).toList();
    assertEquals(windows, windows(config));
  }

  @Test
  void gemma2HasItsOwnDefaults() {
    ModelConfig config = parse("\"architectures\": [\"Gemma2ForCausalLM\"]");
    assertTrue(config.tiedHead(), "transformers leaves out what is the default of the class");
    assertEquals(256, config.headDim());
    assertEquals(1f / 16, config.attentionScale());
    assertEquals(50f, config.attentionSoftcap());
    assertEquals(30f, config.logitSoftcap());
    assertEquals(Activation.GELU_TANH, config.activation());
    assertEquals(Math.sqrt(32), config.embeddingScale());
    assertEquals(
        0f,
        parse("\"architectures\": [\"Gemma2ForCausalLM\"], \"final_logit_softcapping\": null")
            .logitSoftcap());
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "llama_tied", "mistral", "qwen2", "gemma2"})
  void knowsTheShapeOfEveryWeight(String name) {
    Path model = GoldenFile.directory("models/" + name);
    Map<String, String> stored = new HashMap<>();
    try (Device device = Device.cpu();
        Checkpoint checkpoint = Checkpoint.open(device, model)) {
      checkpoint
          .tensorNames()
          .forEach(weight -> stored.put(weight, Arrays.toString(checkpoint.shape(weight))));
    }
    Map<String, String> known = new HashMap<>();
    ModelConfig config = ModelConfig.read(model);
    config.shapes().forEach((weight, shape) -> known.put(weight, Arrays.toString(shape)));
    assertEquals(stored, known);
  }

  private void assertRefused(
      Class<? extends LoraKernelsException> type, String message, String members) {
    LoraKernelsException refused = assertThrows(type, () -> parse(members));
    assertTrue(refused.getMessage().contains(message), refused.getMessage());
  }

  @Test
  void namesWhatItDoesNotKnow() {
    String llama = "\"architectures\": [\"LlamaForCausalLM\"], ";
    assertRefused(
        UnsupportedException.class,
        "architecture \"PhiForCausalLM\" is not known; known are LlamaForCausalLM,"
            + " MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Gemma2ForCausalLM",
        "\"architectures\": [\"PhiForCausalLM\"]");
    assertRefused(
        UnsupportedException.class,
        "\"longrope\" is not known; known are default, linear, dynamic, llama3, yarn",
        llama + "\"rope_scaling\": {\"type\": \"longrope\"}");
    assertRefused(
        UnsupportedException.class,
        "\"partial_rotary_factor\" must be 1, but is 0.5",
        llama + "\"partial_rotary_factor\": 0.5");
    assertRefused(
        UnsupportedException.class,
        "only causal attention is computed",
        "\"architectures\": [\"Gemma2ForCausalLM\"], \"use_bidirectional_attention\": true");
    assertRefused(
        UnsupportedException.class, "activation \"relu\"", llama + "\"hidden_act\": \"relu\"");
    assertRefused(
        CheckpointException.class, "\"rms_norm_eps\"", llama + "\"rms_norm_eps\": \"small\"");
    assertRefused(
        CheckpointException.class, "a divisor of 8", llama + "\"num_key_value_heads\": 3");
    assertRefused(CheckpointException.class, "\"architectures\"", "\"model_type\": \"llama\"");
  }

  @Test
  void layerTypesMustBeOfEveryLayer() {
    assertRefused(
        CheckpointException.class,
        "expected 4 (num_hidden_layers), but are 1",
        "\"architectures\": [\"MistralForCausalLM\"], \"layer_types\": [\"full_attention\"]");
    assertArrayEquals(
        new long[] {10, 32},
        parse("\"architectures\": [\"LlamaForCausalLM\"]").shapes().get("lm_head.weight"));
  }
}
