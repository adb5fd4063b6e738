package org.lorakernels.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.cli.CommandRun.lk;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.golden.GoldenFile;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;

/** {@code lk eval} and {@code lk generate}, on a golden model of 256 tokens without a tokenizer. */
class EvaluationCommandsTest {
  private static final Path HOME = Path.of(System.getProperty("lk.home"));
  private static final Path MODEL = HOME.resolve("tests/src/test/resources/golden/models/llama");

  /** The same, or the one of other golden vectors. */
  private static final Path GOLDEN =
      Optional.ofNullable(System.getProperty("lorakernels.golden"))
          .map(golden -> Path.of(golden, "models/llama"))
          .orElse(MODEL);

  @TempDir private Path directory;

  private static CommandRun eval(Path model, Path data, String... more) {
    String[] always = {"eval", "--model", model.toString(), "--data", data.toString(), "--json"};
    CommandRun run = lk(concat(always, more));
    assertEquals(0, run.code(), run.err());
    return run;
  }

  private static String[] concat(String[] first, String[] second) {
    String[] all = Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, all, first.length, second.length);
    return all;
  }

  private Path file(String name, String content) throws IOException {
    return Files.writeString(directory.resolve(name), content);
  }

  /** The model with a tokenizer whose token of id n is the word "wn". */
  private Path modelWithTokenizer() throws IOException {
    Path model = Files.createDirectories(directory.resolve("model"));
    for (String name :
        new String[] {"config.json", "generation_config.json", "model.safetensors"}) {
      Files.copy(MODEL.resolve(name), model.resolve(name));
    }
    String words =
        IntStream.range(0, 256)
            .mapToObj(i -> "\"w" + i + "\": " + i)
            .collect(Collectors.joining(", "));
    Files.writeString(
        model.resolve("tokenizer.json"),
        """
        {"version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
         "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null,
         "model": {"type": "WordLevel", "unk_token": "w0", "vocab": {%s}}}
        """
            .formatted(words));
    Files.writeString(model.resolve("tokenizer_config.json"), "{\"bos_token\": \"w1\"}");
    return model;
  }

  @Test
  void lossOfTokenIdsIsThatOfTheLogits() throws IOException {
    Path data =
        file(
            "ids.jsonl",
            """
            {"input_ids": [1, 17, 42, 99, 200], "labels": [1, 17, -100, 99, 200]}
            {"input_ids": [7, 8, 9], "labels": [-100, -100, 9]}
            """);
    JsonObject result = eval(MODEL, data, "--compute-dtype", "f32").lastLine();
    assertEquals("[loss, perplexity, tokens]", result.names().toString());
    assertEquals(4, result.integer("tokens"));
    double expected =
        (surprise(new int[] {1, 17, 42, 99, 200}, 1, 3, 4) + surprise(new int[] {7, 8, 9}, 2)) / 4;
    assertEquals(expected, result.number("loss"), 1e-5);
    assertEquals(Math.exp(result.number("loss")), result.number("perplexity"), 1e-9);
    CommandRun cut = eval(MODEL, data, "--max-length", "3", "--compute-dtype", "f32");
    assertEquals(1, cut.lastLine().integer("truncated_rows"));
    assertEquals(2, cut.lastLine().integer("dropped_tokens"));
    assertTrue(cut.err().contains("1 of 2 rows"), cut.err());
    CommandRun windows = eval(MODEL, data, "--max-length", "3", "--stride", "2");
    assertEquals(4, windows.lastLine().integer("tokens"));
    assertFalse(windows.lastLine().has("truncated_rows"));
    assertEquals(
        1, eval(MODEL, data, "--limit", "1", "--max-length", "2").lastLine().integer("tokens"));
  }

  /** Sum of -log p at some positions, from the logits, in double precision. */
  private static double surprise(int[] ids, int... positions) {
    try (Device device = Device.cpu();
        CausalLm model =
            CausalLm.load(device, MODEL, LoadOptions.asStored().computeDtype(DType.F32))) {
      float[] logits = model.logits(new Batch(ids, ids, null, new int[] {0, ids.length}));
      int vocabulary = logits.length / ids.length;
      double sum = 0;
      for (int position : positions) {
        int from = (position - 1) * vocabulary;
        double total = 0;
        for (int i = 0; i < vocabulary; i++) {
          total += Math.exp(logits[from + i]);
        }
        sum += Math.log(total) - logits[from + ids[position]];
      }
      return sum;
    }
  }

  @Test
  void questionsAreScoredByTheirChoices() throws IOException {
    Path model = modelWithTokenizer();
    Path data =
        file(
            "questions.jsonl",
            "{\"query\": \"w17\", \"choices\": [\"w5 w6\", \"w9\"], \"gold\": 0}\n".repeat(2)
                + "{\"query\": \"w17\", \"choices\": [\"w5 w6\", \"w9\"], \"gold\": 1}\n");
    JsonObject result = eval(model, data, "--compute-dtype", "f32").lastLine();
    assertEquals("choices", result.string("task"));
    assertEquals(3, result.integer("questions"));
    double two = surprise(new int[] {17, 5, 6}, 1, 2);
    double one = surprise(new int[] {17, 9}, 1);
    assertEquals(two < one ? 2 / 3.0 : 1 / 3.0, result.number("acc"));
    assertEquals(two / 2 < one ? 2 / 3.0 : 1 / 3.0, result.number("acc_norm"));
    assertEquals(Math.sqrt(2 / 9.0 / 2), result.number("acc_stderr"), 1e-15);
    Path pairs = file("pairs.jsonl", "{\"sentence_good\": \"w5\", \"sentence_bad\": \"w6\"}");
    JsonObject pair = eval(model, pairs, "--compute-dtype", "f32").lastLine();
    assertEquals("blimp", pair.string("task"));
    boolean right = surprise(new int[] {1, 5}, 1) < surprise(new int[] {1, 6}, 1);
    assertEquals(right ? 1.0 : 0.0, pair.number("acc"));
    assertEquals("null", pair.get("acc_stderr").toString()); // of one question
  }

  @Test
  void greedyIdsAreTheGoldenOnes() {
    float[] values = GoldenFile.open("models/llama/golden.safetensors").get("greedy_8+8").floats();
    int[] golden = IntStream.range(0, values.length).map(i -> (int) values[i]).toArray();
    String prompt =
        Arrays.stream(golden, 0, 8).mapToObj(Integer::toString).collect(Collectors.joining(","));
    CommandRun run =
        lk(
            "generate",
            "--model",
            GOLDEN.toString(),
            "--prompt-ids",
            prompt,
            "--max-new-tokens",
            "8",
            "--ignore-eos",
            "--compute-dtype",
            "f32",
            "--json");
    assertEquals(0, run.code(), run.err());
    long[] ids = run.lastLine().array("ids").longs();
    assertArrayEquals(
        Arrays.copyOfRange(golden, 8, 16), Arrays.stream(ids).mapToInt(i -> (int) i).toArray());
    assertEquals("max_new_tokens", run.lastLine().string("finish_reason"));
  }

  @Test
  void textIsContinuedReproducibly() throws IOException {
    String model = modelWithTokenizer().toString();
    String[] command = {
      "generate",
      "--model",
      model,
      "--prompt",
      "w5 w9",
      "--max-new-tokens",
      "6",
      "--ignore-eos",
      "--top-k",
      "50",
      "--seed",
      "3"
    };
    CommandRun run = lk(command);
    assertEquals(0, run.code(), run.err());
    assertEquals(run.out(), lk(command).out());
    assertTrue(run.out().strip().matches("w[0-9]+( w[0-9]+){5}"), run.out());
    assertTrue(run.err().contains("6 tokens, max new tokens"), run.err());
    String third = run.out().strip().split(" ")[2];
    CommandRun stopped = lk(concat(command, new String[] {"--stop", third, "--json"}));
    assertEquals("stop_string", stopped.lastLine().string("finish_reason"));
    assertFalse(stopped.lastLine().string("text").contains(third));
  }

  @Test
  void chatsThroughTheTemplate() throws IOException {
    String model = modelWithTokenizer().toString();
    String[] chat = {"generate", "--model", model, "--prompt", "w5", "--system", "w9", "--chat"};
    CommandRun none = lk(chat);
    assertEquals(1, none.code());
    assertTrue(none.err().contains("--chat-template"), none.err());
    Path template =
        file(
            "template.jinja",
            "{% for m in messages %}{{ m.role[0] == 's' and 'w7' or 'w8' }} {{ m.content }} "
                + "{% endfor %}{% if add_generation_prompt %}w3{% endif %}");
    String[] more = {"--chat-template", template.toString(), "--max-new-tokens", "4", "--json"};
    JsonObject chatted = lk(concat(chat, more)).lastLine();
    CommandRun plain =
        lk(
            "generate",
            "--model",
            model,
            "--prompt-ids",
            "7,9,8,5,3",
            "--max-new-tokens",
            "4",
            "--json");
    assertEquals(plain.lastLine().array("ids"), chatted.array("ids"));
    assertEquals(5, chatted.integer("prompt_tokens"));
  }

  @Test
  void plainTextIsSeenThroughWindows() throws IOException {
    Path model = modelWithTokenizer();
    String words =
        IntStream.range(0, 99).mapToObj(i -> "w" + (i * 37 % 256)).collect(Collectors.joining(" "));
    Path text = file("text.txt", words);
    JsonObject whole = eval(model, text, "--max-length", "20").lastLine();
    assertEquals(98, whole.integer("tokens"));
    Path rows = file("text.jsonl", "{\"text\": \"" + words + "\"}");
    JsonObject strided = eval(model, rows, "--max-length", "20", "--stride", "19").lastLine();
    assertEquals(whole, strided);
    assertEquals(19, eval(model, rows, "--max-length", "20").lastLine().integer("tokens"));
  }

  @Test
  void badUsageIsTwoAndFailuresAreOne() throws IOException {
    String model = MODEL.toString();
    String ids = file("ids.jsonl", "{\"input_ids\": [1, 2]}").toString();
    String questions =
        file("q.jsonl", "{\"sentence_good\": \"a\", \"sentence_bad\": \"b\"}").toString();
    check(2, "--task", "eval", "--model", model, "--data", ids, "--task", "nonsense");
    check(2, "--normalize", "eval", "--model", model, "--data", ids, "--normalize", "x");
    check(2, "--limit", "eval", "--model", model, "--data", ids, "--limit", "0");
    check(2, "f32, bf16 or f16", "eval", "--model", model, "--data", ids, "--compute-dtype", "x");
    check(2, "--prompt-ids", "generate", "--model", model);
    check(
        2,
        "--top-p",
        "generate",
        "--model",
        model,
        "--prompt-ids",
        "1",
        "--top-p",
        "0.5",
        "--temperature",
        "0");
    check(2, "--chat", "generate", "--model", model, "--prompt-ids", "1", "--chat");
    check(2, "--chat", "generate", "--model", model, "--prompt", "x", "--system", "y");
    check(1, "tokenizer.json", "eval", "--model", model, "--data", questions);
    check(1, "tokenizer.json", "generate", "--model", model, "--prompt", "x");
    check(1, "none.jsonl", "eval", "--model", model, "--data", "none.jsonl");
    check(1, "no-adapter", "eval", "--model", model, "--data", ids, "--adapter", "no-adapter");
    check(
        1, "stride", "eval", "--model", model, "--data", ids, "--max-length", "4", "--stride", "4");
    check(1, "top-p", "generate", "--model", model, "--prompt-ids", "1", "--top-p", "1.5");
    String far = file("far.jsonl", "{\"input_ids\": [1, 999]}").toString();
    check(1, "another model", "eval", "--model", model, "--data", far);
    check(1, "vocabulary", "generate", "--model", model, "--prompt-ids", "256");
  }

  private static void check(int code, String part, String... arguments) {
    CommandRun run = lk(arguments);
    assertEquals(code, run.code(), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
    assertTrue(run.err().contains(part), run.err());
  }

  @Test
  void tellsAStory() {
    Path model = HOME.resolve("../shared/models/stories260K");
    Assumptions.assumeTrue(
        Files.isDirectory(model), "SKIPPED: the stories260K checkpoint is not here");
    CommandRun run =
        lk("generate", "--model", model.toString(), "--prompt", "", "--max-new-tokens", "59");
    assertEquals(0, run.code(), run.err());
    assertTrue(
        run.out()
            .startsWith(
                "Once upon a time, there was a little girl named Lily. She loved to play outside in the"
                    + " park. One day, she saw a big, red ball."),
        run.out());
  }
}
