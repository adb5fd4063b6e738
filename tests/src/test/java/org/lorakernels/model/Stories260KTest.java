package org.lorakernels.model;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lorakernels.AdamWConfig;
import org.lorakernels.Device;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.json.JsonValue;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.data.Tokenizer;
import org.lorakernels.training.data.Tokenizers;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.Decoder;
import org.lorakernels.training.model.LoadOptions;

/**
 * A real checkpoint (stories260K) against transformers, PEFT and bitsandbytes. It lies beside the
 * repository, not in it; without it these tests are skipped.
 */
class Stories260KTest {
  private static final Path SHARED = Path.of(System.getProperty("lk.home"), "../shared");
  private static final Path MODEL = SHARED.resolve("models/stories260K");
  private static final Path GOLDEN = SHARED.resolve("golden/stories260K");

  private final Device device = Device.cpu();

  @BeforeEach
  void needsTheCheckpoint() {
    Assumptions.assumeTrue(
        Files.isDirectory(MODEL) && Files.isDirectory(GOLDEN),
        "SKIPPED: the stories260K checkpoint is not here");
  }

  @AfterEach
  void nothingLeaks() {
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  private static JsonObject json(Path file) throws IOException {
    return JsonReader.parseObject(Files.readAllBytes(file));
  }

  @Test
  void continuesGreedilyFor255Tokens() throws IOException {
    long[] ids = json(GOLDEN.resolve("reference.json")).array("greedy_ids_from_bos").longs();
    int[] expected = Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
    try (CausalLm model = CausalLm.load(device, MODEL, LoadOptions.asStored());
        Decoder decoder = model.decoder(expected.length)) {
      int[] prompt = {expected[0]};
      assertArrayEquals(expected, GoldenModelTest.greedy(decoder, prompt, expected.length - 1));
    }
  }

  @Test
  void scoresTinyStories() throws IOException {
    JsonObject reference =
        json(GOLDEN.resolve("reference.json")).object("tinystories_train_first150");
    JsonArray rows = reference.array("rows");
    List<String> lines = Files.readAllLines(SHARED.resolve("data/tinystories/train.jsonl"));
    double sum = 0;
    long tokens = 0;
    try (CausalLm model = CausalLm.load(device, MODEL, LoadOptions.asStored());
        Tokenizer tokenizer = Tokenizers.load(MODEL)) {
      for (int i = 0; i < rows.size(); i++) {
        String text = JsonReader.parseObject(lines.get(i).getBytes(UTF_8)).string("text");
        int[] ids = tokenizer.encode(text, true);
        ids = Arrays.copyOf(ids, Math.min(512, ids.length));
        Batch batch = new Batch(ids, ids, null, new int[] {0, ids.length});
        double loss = model.loss(batch);
        double[] expected = numbers((JsonArray) rows.get(i));
        assertEquals((int) expected[0], batch.labelledTokens(), "tokens of row " + i);
        assertEquals(expected[1], loss / batch.labelledTokens(), 1e-5, "loss of row " + i);
        sum += loss;
        tokens += batch.labelledTokens();
      }
    }
    assertEquals(reference.integer("tokens"), tokens);
    assertEquals(reference.number("loss"), sum / tokens, 1e-5);
  }

  private static double[] numbers(JsonArray array) {
    double[] numbers = new double[array.size()];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = Double.parseDouble(array.get(i).toString());
    }
    return numbers;
  }

  /** The bands of the golden files: to step 5, to step 20, to the end. */
  @ParameterizedTest
  @CsvSource({"train_dense, 0, 1e-5, 1e-4, 1e-3", "train_nf4, 4, 2e-4, 1e-3, 5e-3"})
  void trainsAsPeftDoes(String name, int bits, double first, double middle, double last)
      throws IOException {
    Path golden = GOLDEN.resolve(name);
    JsonArray curve = json(golden.resolve("curve.json")).array("curve");
    List<Batch> batches = batches(Files.readAllLines(golden.resolve("train.jsonl")), 4);
    LoadOptions options = LoadOptions.asStored();
    try (CausalLm model =
        CausalLm.load(device, MODEL, bits == 4 ? options.bits(4).doubleQuantized(true) : options)) {
      model.loadAdapter(golden.resolve("adapter_init"));
      List<Parameter> parameters = new ArrayList<>(model.parameters().values());
      AdamWConfig config = AdamWConfig.defaults().learningRate(2e-3).weightDecay(0.01);
      try (PagedAdamW optimizer = PagedAdamW.over(parameters, config)) {
        for (int i = 0; i < curve.size(); i++) {
          Batch batch = batches.get(i % batches.size());
          int count = batch.labelledTokens();
          optimizer.zeroGradients();
          double loss = model.lossAndGradients(batch, 1f / count) / count;
          double norm = GoldenModel.gradientNorm(parameters);
          optimizer.step((float) Math.min(1, 1 / (norm + 1e-6)));
          JsonObject expected = (JsonObject) curve.get(i);
          double band = i < 5 ? first : i < 20 ? middle : last;
          assertEquals(expected.number("loss"), loss, band, "loss of step " + (i + 1));
        }
      }
    }
  }

  private static List<Batch> batches(List<String> lines, int rows) {
    List<Batch> batches = new ArrayList<>();
    for (int from = 0; from < lines.size(); from += rows) {
      List<int[]> ids = new ArrayList<>();
      List<int[]> labels = new ArrayList<>();
      for (String line : lines.subList(from, from + rows)) {
        JsonObject row = JsonReader.parseObject(line.getBytes(UTF_8));
        ids.add(ints(row.get("input_ids")));
        labels.add(ints(row.get("labels")));
      }
      batches.add(Sequences.pack(ids, labels));
    }
    return batches;
  }

  private static int[] ints(JsonValue array) {
    return Arrays.stream(((JsonArray) array).longs()).mapToInt(Math::toIntExact).toArray();
  }
}
