package org.lorakernels.merge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.ShapeMismatchException;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.Weight;
import org.lorakernels.golden.GoldenFile;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.merge.Adapters.Shape;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.Tolerance;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.safetensors.CraftedFile;

/** Whole checkpoints: against PEFT, into 4 bits, onto both bases, and between models. */
class CheckpointMergerTest {
  private static final Path LLAMA = CraftedFile.resource("golden/models/llama");
  private static final Path NF4 = CraftedFile.resource("golden/models/llama_nf4");
  private static final Path NF4_DQ = CraftedFile.resource("golden/models/llama_nf4_dq");
  private static final String Q = "model.layers.0.self_attn.q_proj";
  private static final CombineConfig LINEAR = CombineConfig.of(CombineMethod.LINEAR);

  private final Device device = Device.cpu();
  private final List<PeftAdapter> loaded = new ArrayList<>();

  @TempDir Path directory;

  @AfterEach
  void close() {
    loaded.forEach(PeftAdapter::close);
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  private Path target() {
    return directory.resolve("out");
  }

  private WeightedAdapter adapter(Path path, float weight) {
    loaded.add(PeftAdapter.load(device, path));
    return new WeightedAdapter(loaded.get(loaded.size() - 1), weight);
  }

  private WeightedAdapter random(String module, Shape shape, float weight) {
    Path path = directory.resolve("adapter" + loaded.size());
    Adapters.write(device, path, Map.of(module, shape), LoraConfig.rank(4), loaded.size());
    return adapter(path, weight);
  }

  private static Set<String> files(Path in) throws IOException {
    try (Stream<Path> files = Files.list(in)) {
      return new TreeSet<>(files.map(file -> file.getFileName().toString()).toList());
    }
  }

  private static void refuses(
      Class<? extends LoraKernelsException> type, Executable action, String... words) {
    String message = assertThrows(type, action).getMessage();
    for (String word : words) {
      assertTrue(message.contains(word), message);
    }
  }

  // ---- adapters into dense models

  @Test
  void equalsPeftsMergeAndUnload() throws IOException {
    MergeReport report =
        CheckpointMerger.of(LLAMA)
            .adapters(List.of(adapter(LLAMA.resolve("adapter"), 1)), LINEAR)
            .merge(device, target());
    assertEquals(MergeBase.ORIGINAL, report.base());
    assertEquals(14, report.changed().size());
    assertEquals(report.sourceBytes(), report.resultBytes());
    assertEquals(
        Set.of(
            "config.json", "generation_config.json", "model.safetensors", CheckpointMerger.RECORD),
        files(target()));
    assertArrayEquals(
        Files.readAllBytes(LLAMA.resolve("generation_config.json")),
        Files.readAllBytes(target().resolve("generation_config.json")));
    JsonObject record =
        JsonReader.parseObject(Files.readAllBytes(target().resolve(CheckpointMerger.RECORD)));
    assertEquals("original", record.string("onto"));
    GoldenFile expected = GoldenFile.open("models/llama/merged_proj.safetensors");
    try (Checkpoint merged = Checkpoint.open(device, target())) {
      for (String name : expected.names()) {
        try (Tensor weight = merged.dense(name)) {
          Compare.close(
              name,
              expected.get(name).doubles(),
              weight.toFloatArray(),
              Tolerance.ofMax(2e-7, "one rounding of the sum in F32"));
        }
      }
    }
  }

  @Test
  void anAdapterThatDoesNothingChangesNoBit() throws IOException {
    WeightedAdapter zero = random(Q, new Shape(64, 64), 1);
    zero.adapter().modules().get(Q).b().fill(0);
    CheckpointMerger.of(LLAMA).adapters(List.of(zero), LINEAR).merge(device, target());
    assertArrayEquals(
        Files.readAllBytes(LLAMA.resolve("model.safetensors")),
        Files.readAllBytes(target().resolve("model.safetensors")));
  }

  @Test
  void severalAdaptersAreCombinedFirst() {
    List<WeightedAdapter> adapters =
        List.of(random(Q, new Shape(64, 64), 0.5f), random(Q, new Shape(64, 64), 2));
    CombineConfig ties = CombineConfig.of(CombineMethod.TIES).density(0.4);
    CheckpointMerger.of(LLAMA).adapters(adapters, ties).merge(device, target());
    try (Checkpoint before = Checkpoint.open(device, LLAMA);
        Checkpoint after = Checkpoint.open(device, target());
        LoraAdapter combined = new AdapterCombiner(adapters, ties).combine(Q);
        Tensor base = before.dense(Q + ".weight");
        Tensor expected = LoraKernels.merge(base, combined);
        Tensor actual = after.dense(Q + ".weight")) {
      assertArrayEquals(Scope.bytes(expected), Scope.bytes(actual));
    }
  }

  @Test
  void writesAnotherDtype() throws IOException {
    CheckpointMerger.of(LLAMA)
        .adapters(List.of(random(Q, new Shape(64, 64), 1)), LINEAR)
        .outDtype(DType.BF16)
        .merge(device, target());
    try (Checkpoint after = Checkpoint.open(device, target())) {
      for (String name : after.tensorNames()) {
        assertEquals("BF16", after.storedDtype(name).toString(), name);
      }
      assertEquals("bfloat16", after.config().string("dtype"));
    }
  }

  // ---- both bases

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void a4BitModelIsQuantizedAgain(boolean doubleQuantized) throws IOException {
    Path model = doubleQuantized ? NF4_DQ : NF4;
    WeightedAdapter one = random(Q, new Shape(64, 64), 1);
    MergeReport report =
        CheckpointMerger.of(model).adapters(List.of(one), LINEAR).merge(device, target());
    assertEquals(MergeBase.DEQUANTIZED, report.base());
    try (Checkpoint before = Checkpoint.open(device, model);
        Checkpoint after = Checkpoint.open(device, target());
        Nf4Tensor base = before.nf4(Q + ".weight");
        Nf4Tensor expected = LoraKernels.mergeQuantized(base, one.adapter().modules().get(Q));
        Nf4Tensor actual = after.nf4(Q + ".weight")) {
      assertArrayEquals(Scope.bytes(expected.packed()), Scope.bytes(actual.packed()));
      assertArrayEquals(Scope.bytes(expected.absmax()), Scope.bytes(actual.absmax()));
      assertEquals(expected.nestedOffset(), actual.nestedOffset());
      assertEquals(before.config(), after.config());
      String other = "model.layers.1.mlp.up_proj.weight";
      try (Nf4Tensor kept = before.nf4(other);
          Nf4Tensor carried = after.nf4(other)) {
        assertArrayEquals(Scope.bytes(kept.packed()), Scope.bytes(carried.packed()));
      }
    }
  }

  @Test
  void a4BitModelCanBecomeDense() throws IOException {
    WeightedAdapter one = random(Q, new Shape(64, 64), 1);
    CheckpointMerger.of(NF4_DQ)
        .adapters(List.of(one), LINEAR)
        .outDtype(DType.F32)
        .merge(device, target());
    try (Checkpoint before = Checkpoint.open(device, NF4_DQ);
        Checkpoint after = Checkpoint.open(device, target());
        Nf4Tensor base = before.nf4(Q + ".weight");
        Tensor actual = after.dense(Q + ".weight");
        Tensor expected = Tensor.zeros(device, DType.F32, 64, 64)) {
      LoraKernels.merge(base, one.adapter().modules().get(Q), expected);
      assertArrayEquals(expected.toFloatArray(), actual.toFloatArray());
      assertFalse(after.config().has("quantization_config"));
    }
  }

  /** A dense model offers both bases; dequantised is what a 4-bit model of it gives. */
  @Test
  void mergesADenseModelOntoWhatTrainingSaw() {
    WeightedAdapter one = random(Q, new Shape(64, 64), 1);
    CheckpointMerger.of(LLAMA)
        .adapters(List.of(one), LINEAR)
        .onto(MergeBase.DEQUANTIZED)
        .merge(device, target());
    Path dense = directory.resolve("dense");
    CheckpointMerger.of(NF4)
        .adapters(List.of(one), LINEAR)
        .outDtype(DType.F32)
        .merge(device, dense);
    try (Checkpoint a = Checkpoint.open(device, target());
        Checkpoint b = Checkpoint.open(device, dense);
        Tensor expected = b.dense(Q + ".weight");
        Tensor actual = a.dense(Q + ".weight")) {
      assertArrayEquals(expected.toFloatArray(), actual.toFloatArray());
    }
    refuses(
        UnsupportedException.class,
        () ->
            CheckpointMerger.of(NF4)
                .adapters(List.of(one), LINEAR)
                .onto(MergeBase.ORIGINAL)
                .plan(device),
        "in 4 bits",
        "name the dense checkpoint");
  }

  /** Each base is exact for the adapter that was trained on it, and off for the other. */
  @Test
  void theErrorsTellTheBasesApart() {
    CheckpointMerger merger =
        CheckpointMerger.of(LLAMA).adapters(List.of(adapter(LLAMA.resolve("adapter"), 1)), LINEAR);
    List<MergeError> errors = merger.errors(device, 3);
    assertEquals(6, errors.size(), "three weights, two bases");
    for (MergeError error : errors) {
      boolean original = error.base() == MergeBase.ORIGINAL;
      double right = original ? error.againstOriginal() : error.againstDequantized();
      double wrong = original ? error.againstDequantized() : error.againstOriginal();
      assertTrue(right < 1e-5, "F32 arithmetic in another order: " + error);
      assertTrue(wrong > 1e-3, "the error of quantisation: " + error);
    }
    List<MergeError> fourBit =
        CheckpointMerger.of(NF4)
            .adapters(List.of(adapter(LLAMA.resolve("adapter"), 1)), LINEAR)
            .errors(device, 1);
    assertEquals(2, fourBit.size());
    assertTrue(fourBit.get(0).againstDequantized() < fourBit.get(1).againstDequantized());
    assertTrue(Double.isNaN(fourBit.get(0).againstOriginal()));
  }

  // ---- models

  private Path tuned(String name, float weight) {
    Path path = directory.resolve(name);
    CheckpointMerger.of(LLAMA)
        .adapters(List.of(random(Q, new Shape(64, 64), weight)), LINEAR)
        .merge(device, path);
    return path;
  }

  private double[] weight(Path model) {
    try (Checkpoint checkpoint = Checkpoint.open(device, model);
        Weight stored = checkpoint.weight(Q + ".weight");
        Tensor weight = LoraKernels.dequantize(stored, DType.F32)) {
      float[] values = weight.toFloatArray();
      double[] wide = new double[values.length];
      for (int i = 0; i < wide.length; i++) wide[i] = values[i];
      return wide;
    }
  }

  @Test
  void addsDifferencesOfModels() {
    Path a = tuned("a", 1);
    Path b = tuned("b", 1);
    List<WeightedModel> models = List.of(new WeightedModel(a, 0.5f), new WeightedModel(b, -1));
    CheckpointMerger.of(LLAMA)
        .models(models, CombineConfig.of(CombineMethod.TASK_ARITHMETIC))
        .merge(device, target());
    double[] base = weight(LLAMA);
    double[] first = weight(a);
    double[] second = weight(b);
    double[] expected = new double[base.length];
    for (int i = 0; i < base.length; i++) {
      expected[i] = base[i] + 0.5 * (first[i] - base[i]) - (second[i] - base[i]);
    }
    float[] actual = narrow(weight(target()));
    Compare.close("task arithmetic", expected, actual, Tolerance.ofMax(4e-7, "four sums in F32"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"ties", "dare_ties", "della", "breadcrumbs", "magnitude_prune"})
  void everyMethodOfModelsGivesAModel(String method) {
    List<WeightedModel> models =
        List.of(new WeightedModel(tuned("a", 1), 1), new WeightedModel(tuned("b", 1), 1));
    CheckpointMerger merger =
        CheckpointMerger.of(LLAMA)
            .models(models, CombineConfig.of(CombineMethod.named(method)).density(0.5));
    merger.merge(device, target());
    double[] base = weight(LLAMA);
    double[] merged = weight(target());
    int changed = 0;
    for (int i = 0; i < base.length; i++) {
      if (merged[i] != base[i]) changed++;
    }
    assertTrue(changed > base.length / 3 && changed < base.length, "some are dropped: " + changed);
    merger.opposingSigns(
        device,
        (name, signs) ->
            assertTrue(name.equals(Q + ".weight") ? signs.share() > 0.1 : signs.share() == 0));
  }

  @Test
  void interpolatesAlongTheSphere() {
    Path tuned = tuned("a", 30); // far enough not to be parallel
    CheckpointMerger.of(LLAMA)
        .models(List.of(new WeightedModel(tuned, 0.3f)), CombineConfig.of(CombineMethod.SLERP))
        .merge(device, target());
    double[] a = weight(LLAMA);
    double[] b = weight(tuned);
    double aa = 0;
    double bb = 0;
    double ab = 0;
    for (int i = 0; i < a.length; i++) {
      aa += a[i] * a[i];
      bb += b[i] * b[i];
      ab += a[i] * b[i];
    }
    double angle = Math.acos(ab / Math.sqrt(aa * bb));
    double t = 0.3f;
    double[] expected = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      expected[i] =
          (Math.sin((1 - t) * angle) * a[i] + Math.sin(t * angle) * b[i]) / Math.sin(angle);
    }
    assertTrue(angle > 0.1, "slerp, not its straight line");
    Compare.close(
        "slerp",
        expected,
        narrow(weight(target())),
        Tolerance.ofMax(3e-7, "three roundings to F32"));
  }

  private static float[] narrow(double[] values) {
    float[] narrow = new float[values.length];
    for (int i = 0; i < narrow.length; i++) narrow[i] = (float) values[i];
    return narrow;
  }

  // ---- beyond the rank of one adapter

  /** Cat of three adapters of rank 100, which no single adapter can hold. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void concatenatesBeyondTheRankOfAnAdapter(boolean fourBit) {
    Path model = fourBit ? NF4 : LLAMA;
    List<WeightedAdapter> adapters = new ArrayList<>();
    float[] weights = {1, -0.5f, 0.25f};
    for (float weight : weights) {
      Path path = directory.resolve("wide" + adapters.size());
      LoraConfig config = LoraConfig.rank(100).alpha(50);
      Adapters.write(device, path, Map.of(Q, new Shape(64, 64)), config, adapters.size());
      adapters.add(adapter(path, weight));
    }
    CombineConfig cat = CombineConfig.of(CombineMethod.CAT);
    CheckpointMerger merger = CheckpointMerger.of(model).adapters(adapters, cat);
    merger.outDtype(DType.F32).merge(device, target());
    double[] expected = weight(model);
    for (WeightedAdapter adapter : adapters) {
      LoraAdapter lora = adapter.adapter().modules().get(Q);
      float[] a = lora.a().toFloatArray();
      float[] b = lora.b().toFloatArray();
      for (int i = 0; i < expected.length; i++) {
        double sum = 0;
        for (int r = 0; r < 100; r++) sum += (double) b[i / 64 * 100 + r] * a[r * 64 + i % 64];
        expected[i] += adapter.weight() * 0.5 * sum;
      }
    }
    Compare.close(
        "merged", expected, narrow(weight(target())), Tolerance.ofMax(2e-6, "sums of 300 in F32"));
    for (MergeError error : merger.errors(device, 1)) {
      if (!error.requantized()
          && error.base() == (fourBit ? MergeBase.DEQUANTIZED : MergeBase.ORIGINAL)) {
        double against = fourBit ? error.againstDequantized() : error.againstOriginal();
        assertTrue(against < 1e-5, "merged in F32: " + error);
      }
    }
    refuses(
        InvalidArgumentException.class,
        () -> new AdapterCombiner(adapters, cat).save(directory.resolve("one")),
        "cat gives rank 300",
        "256",
        "svd");
  }

  // ---- what is refused

  @Test
  void refusesWhatDoesNotFit() throws IOException {
    WeightedAdapter small = random(Q, new Shape(64, 32), 1);
    refuses(
        ShapeMismatchException.class,
        () -> CheckpointMerger.of(LLAMA).adapters(List.of(small), LINEAR).merge(device, target()),
        Q,
        "[64, 32]",
        "[64, 64]");
    WeightedAdapter other = random("model.layers.9.self_attn.q_proj", new Shape(64, 64), 1);
    refuses(
        CheckpointException.class,
        () -> CheckpointMerger.of(LLAMA).adapters(List.of(other), LINEAR).merge(device, target()),
        "model.layers.9.self_attn.q_proj.weight",
        "no such weight");
    refuses(
        UnsupportedException.class,
        () ->
            CheckpointMerger.of(NF4)
                .models(
                    List.of(new WeightedModel(LLAMA, 1)),
                    CombineConfig.of(CombineMethod.TASK_ARITHMETIC))
                .plan(device),
        "in 4 bits");
    assertTrue(
        files(directory).stream().noneMatch(name -> name.contains("out")), "nothing is left");
  }

  @Test
  void plansWithoutWriting() throws IOException {
    MergePlan plan =
        CheckpointMerger.of(NF4)
            .adapters(List.of(adapter(LLAMA.resolve("adapter"), 1)), LINEAR)
            .plan(device);
    assertEquals(14, plan.weights().size());
    assertEquals("4-bit", plan.weights().get(0).stored());
    assertEquals(Set.of(), files(directory));
  }
}
