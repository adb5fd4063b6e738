package org.lorakernels.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.lorakernels.model.GoldenModel.F32;
import static org.lorakernels.model.GoldenModel.batch;
import static org.lorakernels.model.GoldenModel.compareCurve;
import static org.lorakernels.model.GoldenModel.compareGradients;
import static org.lorakernels.model.GoldenModel.compareMean;
import static org.lorakernels.model.GoldenModel.directory;
import static org.lorakernels.model.GoldenModel.meanLoss;
import static org.lorakernels.model.GoldenModel.zeroGradients;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.Device;
import org.lorakernels.golden.GoldenFile;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.oracle.Compare;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;

/**
 * What the golden models leave out, against transformers and PEFT (golden/extra/make.py): Qwen 3,
 * scaled rotary positions, all biases, DoRA, patterns, full fine-tuning.
 */
class ExtraGoldenTest {
  private static final LoadOptions STORED = LoadOptions.asStored();

  private final Device device = Device.cpu();

  @AfterEach
  void nothingLeaks() {
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  private CausalLm load(String name) {
    return CausalLm.load(device, directory("extra/" + name), STORED);
  }

  private static GoldenFile golden(String name) {
    return GoldenFile.open("extra/" + name + "/golden.safetensors");
  }

  @ParameterizedTest
  @ValueSource(strings = {"qwen3", "llama3"})
  void logitsAndLoss(String name) {
    GoldenFile file = golden(name);
    try (CausalLm model = load(name)) {
      Compare.close("logits", file.get("logits").doubles(), model.logits(batch(file)), F32);
      compareMean("loss", file.get("loss"), meanLoss(model, batch(file)));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "linear,  '{\"type\": \"linear\", \"factor\": 3.0}'",
    "dynamic, '{\"type\": \"dynamic\", \"factor\": 3.0}'",
    "yarn,    '{\"type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 16}'",
  })
  void scalesRotaryPositions(String type, String scaling, @TempDir Path copy) throws IOException {
    Path source = directory("extra/llama3");
    JsonObject config = JsonReader.parseObject(Files.readAllBytes(source.resolve("config.json")));
    config.put("rope_scaling", JsonReader.parseObject(scaling.getBytes()));
    Files.writeString(copy.resolve("config.json"), config.toString());
    Files.copy(source.resolve("model.safetensors"), copy.resolve("model.safetensors"));
    GoldenFile file = golden("llama3");
    try (CausalLm model = CausalLm.load(device, copy, STORED)) {
      Compare.close("logits", file.get("logits." + type).doubles(), model.logits(batch(file)), F32);
    }
  }

  /** Qwen 3: rsLoRA, one layer, ranks and alphas by pattern. Llama 3: DoRA on everything. */
  @ParameterizedTest
  @CsvSource({"qwen3, 12", "llama3, 21"})
  void trainsAnAdapterOfPeft(String name, int tensors, @TempDir Path target) throws IOException {
    GoldenFile file = golden(name);
    Batch batch = batch(file);
    Path adapter = directory("extra/" + name + "/adapter");
    try (CausalLm model = load(name)) {
      model.loadAdapter(adapter);
      model.saveAdapter(target);
      Compare.close("logits", file.get("adapter.logits").doubles(), model.logits(batch), F32);
      model.lossAndGradients(batch, 1f / batch.labelledTokens());
      compareGradients(model, file, "adapter.grad.base_model.model.", tensors);
      double[] losses = file.get("adapter.loss").doubles();
      compareCurve(model, step -> batch, losses, null, "training");
    }
    for (String part : new String[] {"adapter_model.safetensors", "adapter_config.json"}) {
      assertArrayEquals(
          Files.readAllBytes(adapter.resolve(part)), Files.readAllBytes(target.resolve(part)));
    }
  }

  /** All weights, of a model with a tied head and all biases. */
  @Test
  void trainsAllWeights(@TempDir Path target) {
    GoldenFile file = golden("llama3");
    Batch batch = batch(file);
    Path saved = target.resolve("trained");
    double last;
    try (CausalLm model = load("llama3")) {
      model.trainDense(name -> true);
      model.lossAndGradients(batch, 1f / batch.labelledTokens());
      compareGradients(model, file, "full.grad.", 18);
      zeroGradients(model);
      compareCurve(model, step -> batch, file.get("full.loss").doubles(), null, "training");
      model.saveModel(saved, false);
      last = model.loss(batch);
    }
    try (CausalLm model = CausalLm.load(device, saved, STORED)) {
      assertEquals(last, model.loss(batch), "F32 weights are saved as they are");
    }
  }
}
