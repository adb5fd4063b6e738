package org.lorakernels.peft;

import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;

/**
 * The {@code adapter_config.json} of PEFT 0.21 for a causal language model, with nothing adapted
 * yet.
 */
final class PeftDefaults {
  private PeftDefaults() {}

  static JsonObject json() {
    return new JsonObject()
        .putNull("alora_invocation_tokens")
        .put("alpha_pattern", new JsonObject())
        .putNull("arrow_config")
        .putNull("auto_mapping")
        .putNull("base_model_name_or_path")
        .put("bias", "none")
        .putNull("corda_config")
        .put("ensure_weight_tying", false)
        .putNull("eva_config")
        .putNull("exclude_modules")
        .put("fan_in_fan_out", false)
        .put("inference_mode", true)
        .put("init_lora_weights", true)
        .putNull("kasa_config")
        .putNull("layer_replication")
        .putNull("layers_pattern")
        .putNull("layers_to_transform")
        .put("loftq_config", new JsonObject())
        .put("lora_alpha", 8)
        .put("lora_bias", false)
        .put("lora_dropout", 0.0)
        .putNull("lora_ga_config")
        .putNull("megatron_config")
        .put("megatron_core", "megatron.core")
        .putNull("modules_to_save")
        .putNull("monteclora_config")
        .put("peft_type", "LORA")
        .put("peft_version", "0.21.0")
        .put("qalora_group_size", 16)
        .put("r", 8)
        .put("rank_pattern", new JsonObject())
        .putNull("revision")
        .put("target_modules", new JsonArray())
        .putNull("target_parameters")
        .put("task_type", "CAUSAL_LM")
        .putNull("trainable_token_indices")
        .putNull("use_bdlora")
        .put("use_dora", false)
        .put("use_qalora", false)
        .put("use_rslora", false)
        .putNull("velora_config");
  }
}
