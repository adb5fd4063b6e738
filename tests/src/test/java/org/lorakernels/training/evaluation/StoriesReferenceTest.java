package org.lorakernels.training.evaluation;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonNumber;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.training.data.EncodedExample;
import org.lorakernels.training.data.Tokenizer;
import org.lorakernels.training.data.Tokenizers;
import org.lorakernels.training.generation.Generation;
import org.lorakernels.training.generation.GenerationConfig;
import org.lorakernels.training.generation.GenerationListener;
import org.lorakernels.training.generation.TextGenerator;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;

/**
 * A real model against what transformers computes with it, by the protocols that the reference file
 * states.
 */
class StoriesReferenceTest {
  private static final Path SHARED = Path.of(System.getProperty("lk.home"), "../shared");
  private static final Path MODEL = SHARED.resolve("models/stories260K");
  private static final Path DATA = SHARED.resolve("data");
  private static final Path REFERENCE = SHARED.resolve("golden/stories260K/reference.json");
  private static final int CONTEXT = 512;

  /** The manifest's tolerance of losses; the file has six digits of them. */
  private static final double TOLERANCE = 1e-5;

  private static JsonObject reference;
  private static Device device;
  private static CausalLm model;
  private static Tokenizer tokenizer;

  @BeforeAll
  static void open() throws IOException {
    Assumptions.assumeTrue(
        Files.isDirectory(MODEL) && Files.exists(REFERENCE) && Files.isDirectory(DATA),
        "SKIPPED: stories260K, its reference or the data are not here");
    reference = JsonReader.parseObject(Files.readAllBytes(REFERENCE));
    device = Device.cpu();
    model = CausalLm.load(device, MODEL, LoadOptions.asStored().bits(32).computeDtype(DType.F32));
    tokenizer = Tokenizers.load(MODEL);
  }

  @AfterAll
  static void close() {
    if (device != null) {
      tokenizer.close();
      model.close();
      device.close();
    }
  }

  private static LossEvaluator losses() {
    return new LossEvaluator(model::tokenLosses, CONTEXT);
  }

  @Test
  void lossesOfStories() throws IOException {
    JsonObject expected = reference.object("tinystories_train_first150");
    JsonArray rows = expected.array("rows");
    List<EncodedExample> sequences = new ArrayList<>();
    List<String> lines = Files.readAllLines(DATA.resolve("tinystories/train.jsonl"));
    for (int i = 0; i < rows.size(); i++) {
      JsonObject row = JsonReader.parseObject(lines.get(i).getBytes(UTF_8));
      sequences.add(scored(tokenizer.encode(row.string("text"), true)));
      LossResult result = losses().evaluate(sequences.subList(i, i + 1));
      JsonArray numbers = (JsonArray) rows.get(i);
      assertEquals(number(numbers, 1), result.loss(), TOLERANCE, "row " + i);
    }
    LossResult all = losses().evaluate(sequences);
    assertEquals(expected.number("loss"), all.loss(), TOLERANCE);
    assertEquals(expected.integer("tokens"), all.tokens());
  }

  private static double number(JsonArray array, int index) {
    return ((JsonNumber) array.get(index)).doubleValue();
  }

  @Test
  void lossOfShakespeareInWindows() throws IOException {
    JsonObject expected = reference.object("tinyshakespeare_first60000chars");
    String text = Files.readString(DATA.resolve("tinyshakespeare/input.txt")).substring(0, 60000);
    int windows = (int) expected.integer("windows");
    int[] ids = tokenizer.encode(text, false);
    int[] row =
        IntStream.concat(
                IntStream.of(tokenizer.bosId()),
                Arrays.stream(ids).limit((long) windows * (CONTEXT - 1)))
            .toArray();
    LossResult result =
        losses().windows(CONTEXT - 1, tokenizer.bosId()).evaluate(List.of(scored(row)));
    assertEquals(expected.number("loss"), result.loss(), TOLERANCE);
    assertEquals(expected.integer("tokens"), result.tokens());
    assertEquals(0, result.truncatedRows());
  }

  /** An adapter that PEFT trained and saved, against its loss in PEFT 0.21. */
  @Test
  void lossWithAnAdapter() throws IOException {
    Path golden = REFERENCE.resolveSibling("train_dense");
    List<EncodedExample> rows = new ArrayList<>();
    for (String line : Files.readAllLines(golden.resolve("train.jsonl"))) {
      JsonObject row = JsonReader.parseObject(line.getBytes(UTF_8));
      rows.add(new EncodedExample(ints(row.array("input_ids")), ints(row.array("labels")), null));
    }
    assertEquals(4.941507444106612, losses().evaluate(rows).loss(), TOLERANCE);
    model.loadAdapter(golden.resolve("adapter_final"));
    try {
      LossResult result = losses().evaluate(rows);
      assertEquals(2.3362645246280147, result.loss(), TOLERANCE);
      assertEquals(8128, result.tokens());
    } finally {
      model.removeAdapters();
    }
  }

  private static EncodedExample scored(int[] ids) {
    return new EncodedExample(ids, ids.clone(), null);
  }

  private static int[] ints(JsonArray array) {
    return Arrays.stream(array.longs()).mapToInt(Math::toIntExact).toArray();
  }

  private static MultipleChoiceResult ask(String file, int questions) {
    return new MultipleChoiceEvaluator(model::tokenLosses, tokenizer, CONTEXT)
        .evaluate(QuestionReader.read(DATA.resolve("benchmarks").resolve(file), null, questions));
  }

  @Test
  void accuraciesOfMinimalPairs() {
    JsonObject expected = reference.object("blimp_first300");
    for (String name : expected.names()) {
      if (!name.equals("protocol")) {
        MultipleChoiceResult result = ask("blimp/" + name + ".jsonl", 300);
        assertEquals(expected.number(name), result.accuracy(), name);
      }
    }
  }

  @Test
  void accuraciesOfMultipleChoice() {
    JsonObject expected = reference.object("arc_easy_first100");
    MultipleChoiceResult result = ask("arc_easy.jsonl", 100);
    assertEquals(expected.number("acc"), result.accuracy());
    assertEquals(expected.number("acc_norm"), result.normalizedAccuracy());
    // the same protocol, computed with transformers 5.18 for this test
    MultipleChoiceResult piqa = ask("piqa.jsonl", 100);
    assertEquals(0.49, piqa.accuracy());
    assertEquals(0.49, piqa.normalizedAccuracy());
  }

  @Test
  void greedyContinuation() {
    long[] expected = reference.array("greedy_ids_from_bos").longs();
    StringBuilder heard = new StringBuilder();
    GenerationListener listener = heard::append;
    Generation generation =
        TextGenerator.of(model, tokenizer)
            .generate("", GenerationConfig.greedy().maxNewTokens(expected.length - 1), listener);
    int[] ids = Arrays.stream(expected).skip(1).mapToInt(Math::toIntExact).toArray();
    assertArrayEquals(ids, generation.ids());
    assertEquals(reference.string("greedy_text"), generation.text());
    assertEquals(generation.text(), heard.toString());
    assertTrue(generation.tokensPerSecond() > 0);
  }
}
