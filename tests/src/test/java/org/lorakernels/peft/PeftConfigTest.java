package org.lorakernels.peft;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraConfig;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.json.JsonStyle;
import org.lorakernels.safetensors.CraftedFile;

/** {@code adapter_config.json}, read as PEFT reads it and written as PEFT writes it. */
class PeftConfigTest {
  @TempDir Path directory;

  private PeftConfig read(JsonObject json) throws IOException {
    Files.writeString(directory.resolve(PeftConfig.FILE), json.toString());
    return PeftConfig.read(directory);
  }

  private static JsonObject json() {
    return PeftConfig.of(LoraConfig.rank(8).alpha(16), List.of("q_proj")).json();
  }

  /**
   * A new configuration has the members of one that PEFT 0.21 saved, and its values but for the
   * targets' order.
   */
  @Test
  void defaultsArePefts() throws IOException {
    Path golden = CraftedFile.resource("golden/models/llama/adapter/adapter_config.json");
    JsonObject expected = JsonReader.parseObject(Files.readAllBytes(golden));
    List<String> targets = expected.array("target_modules").strings();
    expected.put("target_modules", JsonArray.ofStrings(targets.stream().sorted().toList()));
    JsonObject actual = PeftConfig.of(LoraConfig.rank(5).alpha(16), targets).json();
    assertEquals(
        JsonStyle.PYTHON_INDENTED.write(expected), JsonStyle.PYTHON_INDENTED.write(actual));
  }

  @Test
  void keepsMembersThatItDoesNotKnow() throws IOException {
    PeftConfig config = read(json().put("a_member_of_2030", 1e-5));
    config.withTaskType("SEQ_CLS").write(directory);
    JsonObject again = PeftConfig.read(directory).json();
    assertEquals("1e-05", again.get("a_member_of_2030").toString());
    assertEquals("SEQ_CLS", again.string("task_type"));
    assertEquals("CAUSAL_LM", config.taskType().orElseThrow(), "immutable");
  }

  /**
   * The first pattern that matches the end of a name, at a dot, counts; as
   * peft.utils.get_pattern_key.
   */
  @ParameterizedTest
  @CsvSource({
    "model.layers.0.self_attn.q_proj, 4, 16",
    "model.layers.1.self_attn.q_proj, 2, 16",
    "model.layers.10.self_attn.q_proj, 4, 16",
    "model.layers.0.self_attn.my_q_proj, 8, 16",
    "model.layers.0.mlp.up_proj, 8, 32.5",
    "q_proj, 4, 16",
  })
  void patternsOverrideRankAndAlpha(String module, int rank, float alpha) throws IOException {
    PeftConfig config =
        read(
            json()
                .put(
                    "rank_pattern",
                    new JsonObject().put("layers\\.1\\..*q_proj", 2).put("q_proj", 4))
                .put("alpha_pattern", new JsonObject().put("(up|down)_proj", 32.5)));
    LoraConfig lora = config.lora(module);
    assertEquals(rank, lora.rank());
    assertEquals(alpha, lora.alpha());
  }

  @Test
  void rsLoraScalesByTheRoot() throws IOException {
    assertEquals(2, read(json()).lora("q_proj").scaling());
    assertEquals(
        (float) (16 / Math.sqrt(8)), read(json().put("use_rslora", true)).lora("q_proj").scaling());
  }

  @Test
  void targetsAsPeft() throws IOException {
    PeftConfig names =
        read(json().put("target_modules", JsonArray.ofStrings(List.of("q_proj", "a.b"))));
    assertTrue(names.targets("model.layers.0.q_proj") && names.targets("q_proj"));
    assertTrue(names.targets("x.a.b"));
    assertFalse(names.targets("model.my_q_proj") || names.targets("b"));
    PeftConfig pattern = read(json().put("target_modules", ".*\\.(q|k)_proj"));
    assertTrue(pattern.targets("model.k_proj"));
    assertFalse(pattern.targets("model.k_proj.more"));
    assertTrue(read(json().put("target_modules", "all-linear")).targets("anything"));
    assertFalse(read(json().putNull("target_modules")).targets("anything"));
  }

  @Test
  void describesNothingIsAnError() {
    assertThrows(InvalidArgumentException.class, () -> PeftConfig.describing(Map.of()));
  }
}
