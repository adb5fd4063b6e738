package org.lorakernels.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.AdamWConfig;
import org.lorakernels.CheckpointException;
import org.lorakernels.ClosedException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.MemoryStats;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.UnsupportedException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.oracle.Compare;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.ActivationMemory;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.Decoder;
import org.lorakernels.training.model.LoadOptions;
import org.lorakernels.training.model.LoraSpec;

/** Packing, recomputing, generation, memory, what is trainable, and what is refused. */
class CausalLmTest {
  private static final LoadOptions STORED = LoadOptions.asStored();

  private final Device device = Device.cpu();

  @AfterEach
  void nothingLeaks() {
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  private CausalLm load(String name, LoadOptions options) {
    return CausalLm.load(device, GoldenModel.directory(name), options);
  }

  private CausalLm llama() {
    return load("models/llama", STORED);
  }

  // ---- passes

  /** Sequences of several lengths, one of a single token, packed and one by one. */
  @ParameterizedTest
  @ValueSource(strings = {"models/llama", "models/gemma2", "models/mistral", "extra/qwen3"})
  void packedSequencesDoNotSeeOneAnother(String name) {
    try (CausalLm model = load(name, STORED)) {
      model.attachLora(LoraSpec.rank(4).seed(1));
      int vocabulary = model.config().vocabularySize();
      List<int[]> ids =
          List.of(
              Sequences.random(1, 13, vocabulary),
              Sequences.random(2, 1, vocabulary),
              Sequences.random(3, 40, vocabulary),
              Sequences.random(4, 2, vocabulary));
      Batch packed = Sequences.pack(ids, ids);
      float[] losses = model.tokenLosses(packed);
      double sum = model.lossAndGradients(packed, 1);
      Map<String, float[]> together = gradients(model);
      GoldenModel.zeroGradients(model);
      double sumOfSingles = 0;
      for (int s = 0; s < ids.size(); s++) {
        Batch single = Sequences.pack(ids.subList(s, s + 1), ids.subList(s, s + 1));
        int[] offsets = packed.offsets();
        float[] own = Arrays.copyOfRange(losses, offsets[s], offsets[s + 1]);
        Compare.close("losses", doubles(own), model.tokenLosses(single), GoldenModel.F32);
        sumOfSingles += model.lossAndGradients(single, 1);
      }
      assertEquals(sumOfSingles, sum, 1e-4, "sums of some 50 losses");
      Map<String, float[]> singles = gradients(model);
      singles.forEach(
          (tensor, expected) ->
              Compare.close(
                  tensor, doubles(expected), together.get(tensor), GoldenModel.GRADIENTS));
    }
  }

  private static double[] doubles(float[] values) {
    double[] doubles = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      doubles[i] = values[i];
    }
    return doubles;
  }

  private static Map<String, float[]> gradients(CausalLm model) {
    Map<String, float[]> gradients = new TreeMap<>();
    model.parameters().forEach((name, p) -> gradients.put(name, p.gradient().toFloatArray()));
    return gradients;
  }

  @Test
  void lossesAndPredictionsStandAtTheirLabels() {
    int[] ids = {5, 9, 200, 7, 3, 3};
    int[] labels = {5, -100, 200, 7, 3, 3};
    float[] weights = {1, 1, 0.5f, 2, 1, 0};
    Batch batch = new Batch(ids, labels, weights, new int[] {0, 4, 6});
    try (CausalLm model = llama()) {
      float[] losses = model.tokenLosses(batch);
      for (int unlabelled : new int[] {0, 1, 4}) {
        assertEquals(0, losses[unlabelled]);
      }
      int vocabulary = model.config().vocabularySize();
      float[] logits = model.logits(batch);
      int[] predictions = model.predictions(batch);
      for (int label : new int[] {2, 3, 5}) {
        float[] row = Arrays.copyOfRange(logits, (label - 1) * vocabulary, label * vocabulary);
        double normaliser = 0;
        int best = 0;
        for (int v = 0; v < vocabulary; v++) {
          normaliser += Math.exp(row[v]);
          best = row[v] > row[best] ? v : best;
        }
        assertEquals(Math.log(normaliser) - row[ids[label]], losses[label], 1e-5);
        assertEquals(best, predictions[label]);
      }
      assertEquals(-1, predictions[0]);
      assertEquals(-1, predictions[1]);
      assertEquals(0.5 * losses[2] + 2 * losses[3], model.loss(batch), 1e-5);
      model.attachLora(LoraSpec.rank(2));
      assertEquals(model.loss(batch), model.lossAndGradients(batch, 3));
    }
  }

  /** A weight of a label is as good as that many copies of it. */
  @Test
  void weightsScaleGradients() {
    int[] ids = Sequences.random(3, 12, 256);
    float[] twice = new float[ids.length];
    Arrays.fill(twice, 2);
    try (CausalLm model = llama()) {
      model.attachLora(LoraSpec.rank(2));
      model.lossAndGradients(new Batch(ids, ids, twice, new int[] {0, 12}), 0.5f);
      Map<String, float[]> weighted = gradients(model);
      GoldenModel.zeroGradients(model);
      model.lossAndGradients(new Batch(ids, ids, null, new int[] {0, 12}), 1);
      gradients(model).forEach((name, plain) -> assertArrayEquals(plain, weighted.get(name)));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"models/llama", "models/gemma2", "extra/qwen3"})
  void recomputingChangesNothing(String name) {
    try (CausalLm model = load(name, STORED)) {
      model.attachLora(LoraSpec.rank(4).dropout(0.2f).seed(8));
      model.training(true);
      Batch batch = Sequences.one(5, 30, model.config().vocabularySize());
      double kept = model.lossAndGradients(batch, 1);
      Map<String, float[]> expected = gradients(model);
      GoldenModel.zeroGradients(model);
      model.checkpointing(true);
      assertEquals(kept, model.lossAndGradients(batch, 1));
      gradients(model).forEach((n, values) -> assertArrayEquals(expected.get(n), values, n));
    }
  }

  @Test
  void dropoutFollowsTrainingAndStep() {
    Batch batch = Sequences.one(5, 20, 256);
    try (CausalLm model = llama()) {
      model.loadAdapter(GoldenModel.directory("models/llama/adapter"));
      model.attachLora(LoraSpec.rank(4).dropout(0.5f));
      model.parameters().forEach((name, p) -> p.value().fill(0.05f));
      double evaluated = model.loss(batch);
      model.training(true);
      model.dropoutStep(1);
      double first = model.loss(batch);
      assertEquals(first, model.loss(batch));
      assertNotEquals(evaluated, first);
      model.dropoutStep(2);
      assertNotEquals(first, model.loss(batch));
      model.training(false);
      assertEquals(evaluated, model.loss(batch));
    }
  }

  /** 16-bit activations and weights round; the direction of gradients stays. */
  @ParameterizedTest
  @CsvSource({
    "models/llama, BF16",
    "models/llama, F16",
    "models/gemma2, BF16",
    "extra/qwen3, BF16"
  })
  void gradientsInHalfPrecisionPointTheSameWay(String name, DType dtype) {
    Map<String, float[]> exact = halfGradients(name, STORED);
    Map<String, float[]> half = halfGradients(name, STORED.bits(16).computeDtype(dtype));
    double both = 0;
    double squares = 0;
    double halfSquares = 0;
    for (String tensor : exact.keySet()) {
      float[] expected = exact.get(tensor);
      float[] actual = half.get(tensor);
      for (int i = 0; i < expected.length; i++) {
        both += (double) expected[i] * actual[i];
        squares += (double) expected[i] * expected[i];
        halfSquares += (double) actual[i] * actual[i];
      }
    }
    assertTrue(both / Math.sqrt(squares * halfSquares) > 0.999, "cosine");
    assertEquals(1, Math.sqrt(halfSquares / squares), 0.02);
  }

  private Map<String, float[]> halfGradients(String name, LoadOptions options) {
    try (CausalLm model = load(name, options)) {
      model.attachLora(LoraSpec.rank(4).seed(3));
      model.parameters().forEach((n, p) -> fillPattern(p, n.hashCode()));
      model.lossAndGradients(Sequences.one(5, 30, model.config().vocabularySize()), 1);
      return gradients(model);
    }
  }

  private static void fillPattern(Parameter parameter, int seed) {
    float[] values = new float[(int) parameter.value().elementCount()];
    Random random = new Random(seed);
    for (int i = 0; i < values.length; i++) {
      values[i] = 0.1f * (float) random.nextGaussian();
    }
    parameter.value().copyFrom(values);
  }

  // ---- generation

  /** Token by token and in pieces, past windows and after a step back. */
  @ParameterizedTest
  @ValueSource(strings = {"models/llama", "models/gemma2", "models/mistral", "extra/qwen3"})
  void decodesWhatAWholePassComputes(String name) {
    try (CausalLm model = load(name, STORED)) {
      int vocabulary = model.config().vocabularySize();
      int[] ids = Sequences.random(7, 24, vocabulary);
      float[] whole = model.logits(new Batch(ids, ids, null, new int[] {0, ids.length}));
      try (Decoder decoder = model.decoder(24)) {
        compareRow(whole, vocabulary, 9, decoder.append(Arrays.copyOf(ids, 10)));
        for (int i = 10; i < 15; i++) {
          compareRow(whole, vocabulary, i, decoder.append(ids[i]));
        }
        decoder.truncate(8);
        assertEquals(8, decoder.length());
        compareRow(whole, vocabulary, 23, decoder.append(Arrays.copyOfRange(ids, 8, 24)));
        assertMessage(InvalidArgumentException.class, "capacity 24", () -> decoder.append(1));
      }
    }
  }

  private static void compareRow(float[] whole, int vocabulary, int row, float[] actual) {
    float[] expected = Arrays.copyOfRange(whole, row * vocabulary, (row + 1) * vocabulary);
    Compare.close("logits " + row, doubles(expected), actual, GoldenModel.F32);
  }

  // ---- memory

  @Test
  void aThousandStepsAllocateNothing() {
    try (CausalLm model = load("models/llama_nf4", STORED)) {
      model.attachLora(LoraSpec.rank(2).targets("q_proj", "down_proj"));
      List<Parameter> parameters = List.copyOf(model.parameters().values());
      try (PagedAdamW optimizer = PagedAdamW.over(parameters, AdamWConfig.defaults())) {
        step(model, optimizer, 24);
        step(model, optimizer, 5);
        MemoryStats before = device.memory();
        for (int i = 0; i < 1000; i++) {
          step(model, optimizer, 2 + i % 23);
        }
        MemoryStats after = device.memory();
        assertEquals(before.allocatedBytes(), after.allocatedBytes());
        assertEquals(before.allocationCount(), after.allocationCount());
        assertEquals(before.workspaceBytes(), after.workspaceBytes());
      }
    }
  }

  private static void step(CausalLm model, PagedAdamW optimizer, int tokens) {
    Batch batch = Sequences.one(tokens, tokens, 256);
    optimizer.zeroGradients();
    model.lossAndGradients(batch, 1f / batch.labelledTokens());
    optimizer.step();
  }

  /** The plan says what is taken, but for vectors of a few bytes a token. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void activationsTakeWhatIsPlanned(boolean checkpointing) {
    int tokens = 208;
    try (CausalLm model = llama()) {
      model.attachLora(LoraSpec.rank(2));
      model.checkpointing(checkpointing);
      long empty = device.memory().allocatedBytes() + gradientBytes(model);
      model.lossAndGradients(Sequences.one(1, tokens, 256), 1);
      long taken = device.memory().allocatedBytes() - empty;
      long planned = ActivationMemory.training(model.config(), DType.F32, checkpointing, tokens);
      assertEquals(planned, taken, 0.02 * planned);
      assertTrue(
          !checkpointing
              || planned < ActivationMemory.training(model.config(), DType.F32, false, tokens));
    }
  }

  private static long gradientBytes(CausalLm model) {
    return model.parameters().values().stream().mapToLong(p -> p.gradient().byteSize()).sum();
  }

  // ---- what is trainable

  @Test
  void adaptsWhatTheSpecificationChooses(@TempDir Path target) throws Exception {
    LoraSpec spec =
        LoraSpec.rank(4)
            .alpha(8)
            .targets("q_proj", "down_proj")
            .layers(1, 2)
            .override("mlp.down_proj", LoraConfig.rank(2).alpha(6).rsLora(true).dropout(0.5f));
    try (CausalLm model = llama()) {
      model.attachLora(spec);
      assertEquals(
          List.of(
              "model.layers.1.mlp.down_proj.lora_A.weight",
              "model.layers.1.mlp.down_proj.lora_B.weight",
              "model.layers.1.self_attn.q_proj.lora_A.weight",
              "model.layers.1.self_attn.q_proj.lora_B.weight"),
          List.copyOf(model.parameters().keySet()));
      model.parameters().forEach((name, p) -> p.value().fill(0.05f));
      double loss = model.loss(Sequences.one(1, 9, 256));
      model.saveAdapter(target);
      JsonObject config =
          JsonReader.parseObject(Files.readAllBytes(target.resolve("adapter_config.json")));
      assertEquals("[\"down_proj\", \"q_proj\"]", config.get("target_modules").toString());
      assertEquals("[1]", config.get("layers_to_transform").toString());
      assertEquals(model.directory().toString(), config.string("base_model_name_or_path"));
      model.removeAdapters();
      assertNotEquals(loss, model.loss(Sequences.one(1, 9, 256)));
      model.loadAdapter(target);
      // alpha / sqrt(rank) is saved as an alpha of the same scaling, rounded to a decimal
      assertEquals(loss, model.loss(Sequences.one(1, 9, 256)), 1e-5);
    }
  }

  @Test
  void newAdaptersChangeNothingAndDifferByModuleAndSeed() {
    Batch batch = Sequences.one(1, 9, 256);
    try (CausalLm model = llama()) {
      double base = model.loss(batch);
      model.attachLora(LoraSpec.rank(4).seed(1));
      assertEquals(base, model.loss(batch));
      String gate = "model.layers.0.mlp.gate_proj.lora_A.weight";
      float[] values = model.parameters().get(gate).value().toFloatArray();
      float[] up = model.parameters().get(gate.replace("gate", "up")).value().toFloatArray();
      assertFalse(Arrays.equals(values, up));
      for (float value : values) {
        assertTrue(Math.abs(value) <= 1 / Math.sqrt(64), "Kaiming with a = sqrt 5");
      }
      model.attachLora(LoraSpec.rank(4).seed(1));
      assertArrayEquals(values, model.parameters().get(gate).value().toFloatArray());
      model.attachLora(LoraSpec.rank(4).seed(2));
      assertFalse(Arrays.equals(values, model.parameters().get(gate).value().toFloatArray()));
      model.attachLora(LoraSpec.rank(4).dora(true));
      assertEquals(base, model.loss(batch), 1e-4, "magnitudes are norms: factors of 1, rounded");
    }
  }

  @Test
  void lowerLayersAreNotTouchedWhereNothingTrains() {
    Batch batch = Sequences.one(2, 16, 256);
    try (CausalLm model = llama()) {
      model.attachLora(LoraSpec.rank(3).seed(4));
      model.lossAndGradients(batch, 1);
      String name = "model.layers.1.mlp.up_proj.lora_B.weight";
      float[] all = model.parameters().get(name).gradient().toFloatArray();
      model.attachLora(LoraSpec.rank(3).seed(4).layers(List.of(1)).targets("up_proj"));
      model.lossAndGradients(batch, 1);
      assertArrayEquals(all, model.parameters().get(name).gradient().toFloatArray());
      assertEquals(2, model.parameters().size());
    }
  }

  // ---- refused

  private static void assertMessage(
      Class<? extends LoraKernelsException> type, String part, Executable work) {
    LoraKernelsException refused = assertThrows(type, work);
    assertTrue(refused.getMessage().contains(part), refused.getMessage());
  }

  @Test
  void refusesWhatItCannotDo(@TempDir Path directory) {
    Batch batch = Sequences.one(1, 4, 256);
    CausalLm model = load("models/llama_nf4", STORED);
    try (model) {
      assertMessage(
          InvalidArgumentException.class,
          "nothing is trainable; call attachLora",
          () -> model.lossAndGradients(batch, 1));
      assertMessage(
          InvalidArgumentException.class,
          "[lm_head] name no projection of a decoder layer; those are [q_proj, k_proj,",
          () -> model.attachLora(LoraSpec.rank(2).targets("q_proj", "lm_head")));
      assertMessage(
          InvalidArgumentException.class,
          "no module is chosen; the model has 2 layers",
          () -> model.attachLora(LoraSpec.rank(2).layers(2, 3)));
      assertMessage(
          UnsupportedException.class,
          "self_attn.q_proj.weight\" is in 4 bits",
          () -> model.trainDense(name -> true));
      assertMessage(
          InvalidArgumentException.class,
          "no weight is chosen",
          () -> model.trainDense(name -> name.equals("no")));
      assertMessage(
          UnsupportedException.class,
          "in 4 bits",
          () -> model.saveModel(directory.resolve("m"), false));
      assertMessage(
          InvalidArgumentException.class,
          "there is no adapter",
          () -> model.saveAdapter(directory.resolve("a")));
      assertMessage(
          InvalidArgumentException.class,
          "is empty",
          () -> model.loss(new Batch(new int[0], new int[0], null, new int[1])));
      assertMessage(
          LoraKernelsException.class,
          "was trained on a weight",
          () -> model.loadAdapter(GoldenModel.directory("extra/llama3/adapter")));
      assertMessage(
          LoraKernelsException.class,
          "999",
          () ->
              model.loss(new Batch(new int[] {1, 999}, new int[] {1, 2}, null, new int[] {0, 2})));
      model.trainDense(name -> name.equals("model.norm.weight"));
      assertTrue(model.lossAndGradients(batch, 1) > 0, "works after all that");
    }
    assertThrows(ClosedException.class, () -> model.loss(batch));
    model.close();
  }

  @Test
  void namesWhatACheckpointLacks(@TempDir Path directory) throws Exception {
    Path llama = GoldenModel.directory("models/llama");
    JsonObject config = JsonReader.parseObject(Files.readAllBytes(llama.resolve("config.json")));
    Files.copy(llama.resolve("model.safetensors"), directory.resolve("model.safetensors"));
    config.put("num_hidden_layers", 3);
    Files.writeString(directory.resolve("config.json"), config.toString());
    assertMessage(
        CheckpointException.class,
        "LlamaForCausalLM needs \"model.layers.2.self_attn.q_proj.weight\" [64, 64]",
        () -> CausalLm.load(device, directory, STORED));
    config.put("num_hidden_layers", 2).put("intermediate_size", 100);
    Files.writeString(directory.resolve("config.json"), config.toString());
    assertMessage(
        CheckpointException.class,
        "gate_proj.weight\" must be [100, 64], but is [128, 64]",
        () -> CausalLm.load(device, directory, STORED));
  }

  @ParameterizedTest
  @ValueSource(strings = {"models/llama", "models/llama_nf4_dq", "models/gemma2"})
  void storedWeightsAreUsedWhereTheyAre(String name) {
    try (CausalLm model = load(name, STORED)) {
      assertEquals(0, device.memory().allocatedBytes(), "mapped, not copied");
      assertEquals(DType.F32, model.computeDtype());
    }
  }

  @Test
  void holdsWeightsInTheBitsThatWereAskedFor() {
    assertEquals(DType.F32, compute(STORED));
    assertEquals(DType.BF16, compute(STORED.bits(16)));
    assertEquals(DType.F16, compute(STORED.bits(16).computeDtype(DType.F16)));
    assertEquals(DType.F32, compute(STORED.bits(4)));
    assertMessage(InvalidArgumentException.class, "4, 16 or 32", () -> STORED.bits(8));
  }

  private DType compute(LoadOptions options) {
    try (CausalLm model = load("models/llama", options)) {
      Batch batch = Sequences.one(1, 8, 256);
      assertTrue(Double.isFinite(model.loss(batch)));
      return model.computeDtype();
    }
  }
}
