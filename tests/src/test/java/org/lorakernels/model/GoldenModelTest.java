package org.lorakernels.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.lorakernels.model.GoldenModel.F32;
import static org.lorakernels.model.GoldenModel.TRAINED;
import static org.lorakernels.model.GoldenModel.batch;
import static org.lorakernels.model.GoldenModel.compareCurve;
import static org.lorakernels.model.GoldenModel.compareGradients;
import static org.lorakernels.model.GoldenModel.compareMean;
import static org.lorakernels.model.GoldenModel.directory;
import static org.lorakernels.model.GoldenModel.ints;
import static org.lorakernels.model.GoldenModel.meanLoss;
import static org.lorakernels.model.GoldenModel.trainingBatch;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Parameter;
import org.lorakernels.golden.GoldenFile;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.TestDevice;
import org.lorakernels.oracle.Tolerance;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.Decoder;
import org.lorakernels.training.model.LoadOptions;

/** Models against transformers, PEFT and bitsandbytes: logits, losses, gradients, training. */
@Tag(TestDevice.TAG)
class GoldenModelTest {
  private static final String PREFIX = "base_model.model.";

  private final Device device = TestDevice.open();

  @AfterEach
  void nothingLeaks() {
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  /** Every model with golden vectors of its own and of an adapter. */
  static List<String> models() throws IOException {
    try (Stream<Path> names = Files.list(directory("models"))) {
      return names
          .filter(model -> Files.exists(model.resolve("adapter_golden.safetensors")))
          .map(model -> model.getFileName().toString())
          .sorted()
          .toList();
    }
  }

  private CausalLm load(String name, LoadOptions options) {
    return CausalLm.load(device, directory("models/" + name), options);
  }

  private static GoldenFile golden(String name, String file) {
    return GoldenFile.open("models/" + name + "/" + file + ".safetensors");
  }

  @ParameterizedTest
  @MethodSource("models")
  void logitsAndLossesOfTheBaseModel(String name) {
    GoldenFile file = golden(name, "golden");
    try (CausalLm model = load(name, LoadOptions.asStored())) {
      Batch batch = batch(file);
      Compare.close("logits", file.get("logits_nomask").doubles(), model.logits(batch), F32);
      Batch every = GoldenModel.batch(batch.inputIds(), batch.inputIds(), batch.sequences());
      compareMean("loss of every token", file.get("loss_nomask"), meanLoss(model, every));
      Batch masked = withoutPadding(file);
      Compare.close(
          "logits without padding",
          withoutPadding(file, file.get("logits_mask").doubles(), model.config().vocabularySize()),
          model.logits(masked),
          F32);
      compareMean("loss without padding", file.get("loss_mask"), meanLoss(model, masked));
    }
  }

  /** The sequences as long as attention_mask says; their labels there. */
  private static Batch withoutPadding(GoldenFile file) {
    int[] mask = ints(file.get("attention_mask"));
    int[] ids = ints(file.get("input_ids"));
    int[] labels = ints(file.get("labels"));
    int length = (int) file.get("input_ids").shape()[1];
    int[] offsets = new int[mask.length / length + 1];
    int kept = 0;
    for (int i = 0; i < mask.length; i++) {
      if (mask[i] == 1) {
        ids[kept] = ids[i];
        labels[kept++] = labels[i];
      }
      offsets[i / length + 1] = kept;
    }
    return new Batch(Arrays.copyOf(ids, kept), Arrays.copyOf(labels, kept), null, offsets);
  }

  private static double[] withoutPadding(GoldenFile file, double[] rows, int cols) {
    int[] mask = ints(file.get("attention_mask"));
    double[] kept = new double[rows.length];
    int count = 0;
    for (int i = 0; i < mask.length; i++) {
      if (mask[i] == 1) {
        System.arraycopy(rows, i * cols, kept, count++ * cols, cols);
      }
    }
    return Arrays.copyOf(kept, count * cols);
  }

  @ParameterizedTest
  @MethodSource("models")
  void continuesGreedily(String name) {
    int[] expected = ints(golden(name, "golden").get("greedy_8+8"));
    try (CausalLm model = load(name, LoadOptions.asStored());
        Decoder decoder = model.decoder(expected.length)) {
      assertArrayEquals(expected, greedy(decoder, Arrays.copyOf(expected, 8), 8));
    }
  }

  static int[] greedy(Decoder decoder, int[] prompt, int count) {
    int[] ids = Arrays.copyOf(prompt, prompt.length + count);
    float[] logits = decoder.append(prompt);
    for (int i = prompt.length; i < ids.length; i++) {
      ids[i] = largest(logits);
      if (i < ids.length - 1) {
        logits = decoder.append(ids[i]);
      }
    }
    return ids;
  }

  private static int largest(float[] values) {
    int best = 0;
    for (int i = 1; i < values.length; i++) {
      best = values[i] > values[best] ? i : best;
    }
    return best;
  }

  @ParameterizedTest
  @MethodSource("models")
  void logitsInBf16(String name) {
    GoldenFile file = golden(name, "golden");
    try (CausalLm model = load(name, LoadOptions.asStored().bits(16))) {
      assertEquals(DType.BF16, model.computeDtype());
      Compare.close(
          "logits",
          file.get("logits_nomask").doubles(),
          model.logits(batch(file)),
          Tolerance.absolute(0.06, "BF16 activations; torch itself is within 0.032"));
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void trainsAnAdapterOfPeft(String name) {
    GoldenFile base = golden(name, "golden");
    GoldenFile file = golden(name, "adapter_golden");
    try (CausalLm model = load(name, LoadOptions.asStored())) {
      model.loadAdapter(directory("models/" + name + "/adapter"));
      Compare.close("logits", file.get("logits_nomask").doubles(), model.logits(batch(base)), F32);
      trainAndCompare(model, file, withoutPadding(base), file.get("loss_mask").doubles());
    }
  }

  private static void trainAndCompare(
      CausalLm model, GoldenFile file, Batch masked, double[] loss) {
    int count = masked.labelledTokens();
    double actual = model.lossAndGradients(masked, 1f / count) / count;
    Compare.close("loss", loss, new float[] {(float) actual}, F32);
    int tensors = (int) file.names().stream().filter(n -> n.startsWith("grad.")).count();
    compareGradients(model, file, "grad." + PREFIX, tensors);
    compareCurve(
        model,
        step -> trainingBatch(file, step % 4),
        file.get("train.loss").doubles(),
        file.get("train.grad_norm").doubles(),
        "training");
    for (Parameter parameter : model.parameters().values()) {
      Compare.close(
          "trained " + parameter.name(),
          file.get("train.final." + PREFIX + parameter.name()).doubles(),
          parameter.value().toFloatArray(),
          TRAINED);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama_nf4", "llama_nf4_dq"})
  void logitsOfFourBitCheckpoints(String name) {
    GoldenFile file = golden(name, "golden");
    try (CausalLm model = load(name, LoadOptions.asStored())) {
      Compare.close("logits", file.get("logits_nomask").doubles(), model.logits(batch(file)), F32);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama_nf4", "llama_nf4_dq"})
  void quantisesAsTheFourBitCheckpointWas(String name) {
    GoldenFile file = golden(name, "golden");
    LoadOptions fourBit = LoadOptions.asStored().bits(4).doubleQuantized(name.endsWith("dq"));
    try (CausalLm model = load("llama", fourBit)) {
      Compare.close("logits", file.get("logits_nomask").doubles(), model.logits(batch(file)), F32);
    }
  }

  @Test
  void fourBitLogitsInBf16() {
    GoldenFile file = golden("llama_nf4", "golden");
    LoadOptions bf16 = LoadOptions.asStored().computeDtype(DType.BF16);
    try (CausalLm model = load("llama_nf4", bf16)) {
      Compare.close(
          "logits",
          file.get("logits_eval_bf16_packed").doubles(),
          model.logits(batch(file)),
          Tolerance.absolute(0.15, "both round activations and weights to BF16, differently"));
    }
  }

  @Test
  void dequantisesAFourBitCheckpoint() {
    GoldenFile file = golden("llama_nf4_dq", "golden");
    try (CausalLm model = load("llama_nf4_dq", LoadOptions.asStored().bits(32))) {
      Compare.close("logits", file.get("logits_nomask").doubles(), model.logits(batch(file)), F32);
    }
  }

  @Test
  void trainsAnAdapterOnAFourBitCheckpoint() {
    GoldenFile file = golden("llama_nf4_dq", "golden");
    try (CausalLm model = load("llama_nf4_dq", LoadOptions.asStored())) {
      model.loadAdapter(directory("models/llama/adapter"));
      trainAndCompare(model, file, withoutPadding(file), file.get("adapter.loss_mask").doubles());
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void savesAnAdapterAsPeftDoes(String name, @TempDir Path target) throws Exception {
    Path adapter = directory("models/" + name + "/adapter");
    try (CausalLm model = load(name, LoadOptions.asStored())) {
      model.loadAdapter(adapter);
      model.saveAdapter(target);
    }
    for (String file : new String[] {"adapter_model.safetensors", "adapter_config.json"}) {
      assertArrayEquals(
          Files.readAllBytes(adapter.resolve(file)),
          Files.readAllBytes(target.resolve(file)),
          file);
    }
  }
}
