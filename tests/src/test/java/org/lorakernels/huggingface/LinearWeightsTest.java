package org.lorakernels.huggingface;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lorakernels.huggingface.LinearWeights.Role;

/** The role of weights by the names that architectures give them. */
class LinearWeightsTest {
  @ParameterizedTest
  @CsvSource({
    "model.layers.0.self_attn.q_proj.weight, PROJECTION",
    "model.layers.31.mlp.down_proj.weight, PROJECTION",
    "q_proj.weight, PROJECTION",
    "model.layers.0.self_attn.q_proj.bias, KEPT",
    "lm_head.weight, KEPT",
    "model.embed_tokens.weight, KEPT",
    "transformer.wte.weight, KEPT",
    "model.norm.weight, KEPT",
    "model.layers.0.post_attention_layernorm.weight, KEPT",
    "model.layers.0.self_attn.q_norm.weight, KEPT",
    "model.layers.0.block_sparse_moe.gate.weight, UNKNOWN",
    "transformer.h.0.mlp.c_fc.weight, UNKNOWN",
    "model.layers.0.self_attn.my_q_proj.weight, UNKNOWN",
  })
  void tellsByName(String name, Role role) {
    assertEquals(role, LinearWeights.role(name, new long[] {4, 8}));
  }

  @ParameterizedTest
  @CsvSource({"1", "3"})
  void onlyMatricesAreLinear(int dimensions) {
    long[] shape = new long[dimensions];
    Arrays.fill(shape, 2);
    assertEquals(Role.KEPT, LinearWeights.role("model.q_proj.weight", shape));
  }
}
