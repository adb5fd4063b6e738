package org.lorakernels.peft;

import java.util.List;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonNull;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonString;
import org.lorakernels.json.JsonValue;

/**
 * Tells LoRA and DoRA from other variants: the members of {@code adapter_config.json} whose values
 * change what is computed, and the values that this library computes.
 */
final class SupportedVariant {
  /** Ways to initialise A and B that leave the base weights as they are. */
  private static final List<String> INITIALISATIONS = List.of("gaussian", "eva", "orthogonal");

  /** Must be false, null, empty or absent. */
  private static final List<String> OFF =
      List.of(
          "fan_in_fan_out",
          "lora_bias",
          "use_qalora",
          "use_bdlora",
          "layer_replication",
          "trainable_token_indices",
          "target_parameters",
          "modules_to_save",
          "alora_invocation_tokens",
          "arrow_config",
          "megatron_config",
          "kasa_config",
          "monteclora_config",
          "velora_config");

  private SupportedVariant() {}

  /** Throws a {@link JsonException} that names the member if the adapter is another variant. */
  static void require(JsonObject json) {
    requireText(json, "peft_type", "LORA");
    requireText(json, "bias", "none");
    OFF.forEach(name -> requireOff(json, name));
    if (json.get("init_lora_weights") instanceof JsonString way
        && !INITIALISATIONS.contains(way.value())) {
      throw new JsonException(
          "\"init_lora_weights\": \""
              + way.value()
              + "\" changes the base weights, which this library does not do; convert the adapter"
              + " in PEFT (path_initial_model_for_weight_conversion)");
    }
  }

  /** Throws a {@link JsonException} if the adapter is DoRA. */
  static void requirePlain(JsonObject json) {
    requireOff(json, "use_dora");
  }

  private static void requireText(JsonObject json, String name, String expected) {
    String value = json.findString(name).orElse(expected);
    if (!value.equals(expected)) {
      throw unsupported(name, "\"" + value + "\"", "\"" + expected + "\"");
    }
  }

  private static void requireOff(JsonObject json, String name) {
    JsonValue value = json.get(name);
    boolean off =
        value == null
            || value == JsonNull.NULL
            || value.toString().equals("false")
            || value instanceof JsonArray array && array.isEmpty()
            || value instanceof JsonObject object && object.isEmpty();
    if (!off) {
      throw unsupported(name, value.toString(), "false or null");
    }
  }

  private static JsonException unsupported(String name, String value, String expected) {
    return new JsonException(
        "\""
            + name
            + "\": only "
            + expected
            + " is supported, but is "
            + value
            + "; merge the adapter into its model in PEFT, or train one without it");
  }
}
