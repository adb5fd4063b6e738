package org.lorakernels.peft;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.lorakernels.oracle.Failures.fails;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.ShapeMismatchException;
import org.lorakernels.Tensor;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.safetensors.CraftedFile;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorSpec;

/** Adapters that PEFT saved, adapters saved for it, and what is refused. */
class PeftAdapterTest {
  private static final Path LLAMA = CraftedFile.resource("golden/models/llama");
  private static final Path ADAPTER = LLAMA.resolve("adapter");
  private static final String DOWN = "model.layers.0.mlp.down_proj";
  private static final String PREFIX = "base_model.model.";

  private final Device device = Device.cpu();

  @TempDir Path directory;

  @AfterEach
  void closeDevice() {
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  @Test
  void loadsWhatPeftSaved() {
    try (PeftAdapter adapter = PeftAdapter.load(device, ADAPTER);
        Checkpoint checkpoint = Checkpoint.open(device, LLAMA)) {
      assertEquals(14, adapter.modules().size());
      for (String weight : checkpoint.linearWeights()) {
        String module = weight.substring(0, weight.length() - ".weight".length());
        long[] shape = checkpoint.shape(weight);
        adapter.requireFits(module, shape[0], shape[1]);
        LoraConfig lora = adapter.modules().get(module).config();
        assertEquals(5, lora.rank());
        assertEquals(16f / 5f, lora.scaling());
        assertEquals(DType.F32, lora.dtype());
      }
      try (Tensor down = checkpoint.dense(DOWN + ".weight");
          Tensor other = checkpoint.dense("model.layers.0.mlp.up_proj.weight")) {
        adapter.requireFits(DOWN, down);
        fails(
            ShapeMismatchException.class,
            () -> adapter.requireFits(DOWN, other),
            DOWN + " was trained on a weight [64, 128], but the model's is [128, 64]");
        fails(
            InvalidArgumentException.class,
            () -> adapter.requireFits("lm_head", 256, 64),
            "there is none for lm_head");
      }
    }
  }

  @Test
  void savesTheBytesOfPeft() throws IOException {
    try (PeftAdapter adapter = PeftAdapter.load(device, ADAPTER)) {
      adapter.save(directory.resolve("made/on/the/way"));
    }
    for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
      assertArrayEquals(
          Files.readAllBytes(ADAPTER.resolve(file)),
          Files.readAllBytes(directory.resolve("made/on/the/way").resolve(file)),
          file);
    }
  }

  @Test
  void loadedAdaptersCanBeTrained() {
    try (PeftAdapter adapter = PeftAdapter.load(device, ADAPTER)) {
      Tensor a = adapter.modules().get(DOWN).a();
      a.fill(3); // a mapped file could not be written to
      assertEquals(3, a.get(0, 0));
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void keepsElementTypesRanksAndAlphas(DType dtype) {
    try (Tensor wide = Tensor.zeros(device, DType.F32, 6, 10);
        Tensor tall = Tensor.zeros(device, DType.F32, 9, 4);
        LoraAdapter q =
            LoraAdapter.create(wide, LoraConfig.rank(3).alpha(6).dropout(0.05f).dtype(dtype));
        LoraAdapter v =
            LoraAdapter.create(tall, LoraConfig.rank(2).alpha(1.5f).dropout(0.05f).dtype(dtype))) {
      Map<String, LoraAdapter> modules = new LinkedHashMap<>();
      modules.put("model.layers.0.self_attn.q_proj", q);
      modules.put("model.layers.1.self_attn.v_proj", v);
      PeftConfig config = PeftConfig.describing(modules).withBaseModel("some/model");
      PeftAdapter.save(directory, config, modules);
      try (PeftAdapter loaded = PeftAdapter.load(device, directory)) {
        assertEquals("some/model", loaded.config().baseModel().orElseThrow());
        assertEquals(0.05, loaded.config().json().number("lora_dropout"), "as it was given");
        modules.forEach(
            (module, expected) -> {
              LoraAdapter actual = loaded.modules().get(module);
              assertEquals(expected.scaling(), actual.scaling());
              assertEquals(dtype, actual.a().dtype());
              assertArrayEquals(expected.a().toFloatArray(), actual.a().toFloatArray());
              assertArrayEquals(expected.b().toFloatArray(), actual.b().toFloatArray());
            });
      }
    }
  }

  @Test
  void refusesToSaveWhatTheConfigurationDoesNotDescribe() {
    try (Tensor weight = Tensor.zeros(device, DType.F32, 6, 10);
        LoraAdapter adapter = LoraAdapter.create(weight, LoraConfig.rank(3).alpha(6))) {
      Map<String, LoraAdapter> modules = Map.of("m.q_proj", adapter);
      fails(
          InvalidArgumentException.class,
          () ->
              PeftAdapter.save(
                  directory, PeftConfig.of(adapter.config(), List.of("v_proj")), modules),
          "target_modules of the configuration must name m.q_proj");
      fails(
          InvalidArgumentException.class,
          () ->
              PeftAdapter.save(
                  directory, PeftConfig.of(LoraConfig.rank(3), List.of("q_proj")), modules),
          "use PeftConfig.describing");
      assertEquals(0, directory.toFile().list().length);
    }
  }

  // ---- refused

  private static final String A = PREFIX + "m.q_proj.lora_A.weight";
  private static final String B = PREFIX + "m.q_proj.lora_B.weight";

  private static TensorSpec f32(String name, long... shape) {
    return new TensorSpec(name, SafetensorsDtype.F32, shape);
  }

  private void adapter(JsonObject config, TensorSpec... specs) throws IOException {
    Files.writeString(directory.resolve(PeftConfig.FILE), config.toString());
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (TensorSpec spec : specs) {
      tensors.put(
          spec.name(), Tensor.zeros(device, spec.dtype().dtype().orElseThrow(), spec.shape()));
    }
    SafetensorsWriter.write(directory.resolve(PeftAdapter.FILE), Map.of(), tensors);
    tensors.values().forEach(Tensor::close);
  }

  private static JsonObject config() {
    return PeftConfig.of(LoraConfig.rank(2), List.of("q_proj")).json();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "use_dora | true | \"use_dora\": only false or null is supported, but is true",
        "fan_in_fan_out | true | \"fan_in_fan_out\": only false or null",
        "bias | \"lora_only\" | \"bias\": only \"none\" is supported, but is \"lora_only\"",
        "lora_bias | true | \"lora_bias\"",
        "peft_type | \"IA3\" | \"peft_type\": only \"LORA\" is supported",
        "modules_to_save | [\"lm_head\"] | \"modules_to_save\"",
        "layer_replication | [[0, 1]] | \"layer_replication\"",
        "init_lora_weights | \"pissa\" | \"pissa\" changes the base weights",
        "r | 0 | \"r\": expected a rank in 1 ... 256, but is 0",
        "r | 257 | \"r\": expected a rank in 1 ... 256, but is 257",
        "r | \"8\" | \"r\": expected an integer, but is a string",
        "lora_alpha | null | \"lora_alpha\": expected a number, but is missing",
        "lora_dropout | 1.0 | \"lora_dropout\": expected a number in [0, 1)",
        "rank_pattern | {\"q_proj\": \"4\"} | \"rank_pattern\": \"q_proj\": expected a number",
        "rank_pattern | {\"(\": 4} | expected a regular expression, but is \"(\"",
        "rank_pattern | {\"q_proj\": 3} | m.q_proj: the rank in adapter_config.json is 3",
        "rank_pattern | {\"q_proj\": 0} | \"rank_pattern\": expected a rank in 1 ... 256",
      })
  void refusesConfigurations(String member, String value, String message) throws IOException {
    adapter(config().put(member, JsonReader.parse(value)), f32(A, 2, 8), f32(B, 4, 2));
    fails(CheckpointException.class, () -> PeftAdapter.load(device, directory).close(), message);
  }

  @Test
  void refusesTensorsThatDoNotFit() throws IOException {
    assertRefused("\"" + A + "\" needs \"" + B + "\", which is missing", f32(A, 2, 8));
    assertRefused("\"" + B + "\" needs \"" + A + "\", which is missing", f32(B, 2, 8));
    assertRefused(
        "m.q_proj: the rank in adapter_config.json is 2, so A must be [2, in] and B [out, 2],"
            + " but they are [3, 8] and [4, 3]",
        f32(A, 3, 8),
        f32(B, 4, 3));
    assertRefused("[2, 8] and [4, 3]", f32(A, 2, 8), f32(B, 4, 3));
    assertRefused("must be matrices", f32(A, 2, 8, 3, 3), f32(B, 4, 2, 1, 1));
    assertRefused(
        "must both be F32, BF16 or F16, but are F32 and BF16",
        f32(A, 2, 8),
        new TensorSpec(B, SafetensorsDtype.BF16, 4, 2));
    assertRefused(
        "but are U8 and U8",
        new TensorSpec(A, SafetensorsDtype.U8, 2, 8),
        new TensorSpec(B, SafetensorsDtype.U8, 4, 2));
    assertRefused(
        ", of an adapted embedding", f32(PREFIX + "m.embed_tokens.lora_embedding_A", 2, 8));
    assertRefused(", of DoRA", f32(PREFIX + "m.q_proj.lora_magnitude_vector", 4));
    assertRefused(", a bias", f32(PREFIX + "m.q_proj.bias", 4));
    assertRefused("must be named " + PREFIX, f32("m.q_proj.lora_A.weight", 2, 8));
  }

  private void assertRefused(String message, TensorSpec... specs) throws IOException {
    adapter(config(), specs);
    fails(CheckpointException.class, () -> PeftAdapter.load(device, directory).close(), message);
  }

  @Test
  void saysWhatIsMissing() throws IOException {
    fails(
        CheckpointException.class,
        () -> PeftAdapter.load(device, directory).close(),
        "expected a directory with adapter_config.json");
    Files.writeString(directory.resolve(PeftConfig.FILE), config().toString());
    fails(
        CheckpointException.class,
        () -> PeftAdapter.load(device, directory).close(),
        "expected adapter_model.safetensors");
    Files.createFile(directory.resolve("adapter_model.bin"));
    fails(
        CheckpointException.class,
        () -> PeftAdapter.load(device, directory).close(),
        "convert it in Python with");
  }
}
