package org.lorakernels.huggingface;

import java.util.List;
import org.lorakernels.DType;
import org.lorakernels.Nf4Format;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;

/** The {@code quantization_config} that transformers 5 puts into {@code config.json}. */
final class QuantizationConfig {
  private static final String HEAD = "lm_head";

  private QuantizationConfig() {}

  /**
   * The members.
   *
   * @param computeDtype in which a loader shall multiply
   * @param denseModules modules that transformers would take for quantised linear layers if it were
   *     not told; empty where it can tell by itself
   */
  static JsonObject of(Nf4Format format, DType computeDtype, List<String> denseModules) {
    JsonObject config =
        new JsonObject()
            .put("_load_in_4bit", true)
            .put("_load_in_8bit", false)
            .put("bnb_4bit_compute_dtype", QuantState.torchName(computeDtype))
            .put("bnb_4bit_quant_storage", "uint8")
            .put("bnb_4bit_quant_type", format.codeBook().quantType())
            .put("bnb_4bit_use_double_quant", format.isDoubleQuantized())
            .put("llm_int8_enable_fp32_cpu_offload", false)
            .put("llm_int8_has_fp16_weight", false)
            .putNull("llm_int8_skip_modules")
            .put("llm_int8_threshold", 6.0)
            .put("load_in_4bit", true)
            .put("load_in_8bit", false)
            .put("quant_method", "bitsandbytes");
    if (!denseModules.isEmpty()) { // a list replaces the default, which is the head
      config.put("llm_int8_skip_modules", JsonArray.ofStrings(denseModules).add(HEAD));
    }
    return config;
  }
}
