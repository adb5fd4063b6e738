package org.lorakernels.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.cli.CommandRun.lk;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.Device;
import org.lorakernels.LeakReports;
import org.lorakernels.cli.CommandRun;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.peft.PeftAdapter;

/** {@code lk train} from end to end. */
class TrainCommandTest {
  private static final Path HOME = Path.of(System.getProperty("lk.home"));
  private static final Path MODEL = HOME.resolve("tests/src/test/resources/golden/models/llama");

  @TempDir private Path directory;
  private Path data;

  @BeforeEach
  void data() {
    data = TokenFiles.write(directory.resolve("train.jsonl"), 12, 10, 256, 1);
  }

  private CommandRun train(String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of("train", "--model", MODEL.toString(), "--out", out().toString(), "--json"));
    arguments.addAll(List.of(more));
    if (!arguments.contains("--data")) {
      arguments.addAll(List.of("--data", data.toString()));
    }
    return lk(arguments.toArray(String[]::new));
  }

  private Path out() {
    return directory.resolve("out");
  }

  private static void assertFails(CommandRun run, String... words) {
    assertEquals(1, run.code(), run.err());
    List<String> lines = run.err().lines().filter(line -> line.startsWith("lk train: ")).toList();
    assertEquals(1, lines.size(), run.err());
    for (String word : words) {
      assertTrue(lines.get(0).contains(word), lines.get(0));
    }
  }

  // ---- against PEFT

  /** The manifest's tolerances of the loss: to step 5, to step 20, to the end. */
  private static double tolerance(String kind, int step) {
    boolean dense = kind.equals("dense");
    if (step <= 5) {
      return dense ? 1e-5 : 2e-4;
    }
    if (step <= 20) {
      return dense ? 1e-4 : 1e-3;
    }
    return dense ? 1e-3 : 5e-3;
  }

  @ParameterizedTest
  @ValueSource(strings = {"dense", "nf4"})
  void curvesAreThoseOfPeft(String kind) throws IOException {
    Path model = HOME.resolve("../shared/models/stories260K");
    Path golden = HOME.resolve("../shared/golden/stories260K/train_" + kind);
    Assumptions.assumeTrue(
        Files.isDirectory(model) && Files.isDirectory(golden),
        "SKIPPED: the stories260K checkpoint and its curves are not here");
    Path metrics = directory.resolve("metrics.jsonl");
    List<String> command = new ArrayList<>(List.of("train", "--model", model.toString()));
    command.addAll(List.of("--adapter", golden.resolve("adapter_init").toString()));
    command.addAll(List.of("--data", golden.resolve("train.jsonl").toString()));
    command.addAll(List.of("--out", out().toString()));
    command.addAll(List.of("--bits", kind.equals("dense") ? "32" : "4"));
    if (kind.equals("nf4")) {
      command.add("--double-quant");
    }
    command.addAll(List.of("--compute-dtype", "f32", "--max-steps", "64", "--batch-size", "4"));
    command.addAll(List.of("--no-shuffle", "--learning-rate", "2e-3", "--weight-decay", "0.01"));
    command.addAll(List.of("--lr-scheduler", "constant", "--max-grad-norm", "1.0"));
    command.addAll(List.of("--lora-dropout", "0", "--metrics", metrics.toString()));
    CommandRun run = lk(command.toArray(String[]::new));
    assertEquals(0, run.code(), run.err());

    JsonArray curve =
        JsonReader.parseObject(Files.readAllBytes(golden.resolve("curve.json"))).array("curve");
    List<String> lines = Files.readAllLines(metrics);
    assertEquals(64, lines.size());
    for (int i = 0; i < 64; i++) {
      JsonObject expected = (JsonObject) curve.get(i);
      JsonObject actual = JsonReader.parseObject(lines.get(i).getBytes(StandardCharsets.UTF_8));
      int step = i + 1;
      double allowed = tolerance(kind, step);
      assertEquals(step, actual.integer("step"));
      assertEquals(expected.number("loss"), actual.number("loss"), allowed, "loss " + step);
      // Norms are of the order of 1 to 5, and follow the losses.
      double norm = expected.number("grad_norm");
      assertEquals(norm, actual.number("grad_norm"), 10 * allowed, "grad_norm " + step);
      assertEquals(2e-3, actual.number("lr"));
    }
  }

  // ---- what it writes

  @Test
  void anAdapterMetricsAndAPlotAreWritten() throws IOException {
    CommandRun run =
        train(
            "--max-steps",
            "6",
            "--bits",
            "4",
            "--lora-r",
            "4",
            "--eval-data",
            data.toString(),
            "--eval-steps",
            "3",
            "--save-steps",
            "4");
    assertEquals(0, run.code(), run.err());
    JsonObject json = run.json();
    assertEquals(6, json.integer("steps"));
    assertTrue(json.number("eval_loss") > 0);
    assertEquals(8, Files.readAllLines(out().resolve("metrics.jsonl")).size());
    for (String file : List.of("loss.png", "loss.svg", "checkpoint-4/trainer_state.json")) {
      assertTrue(Files.size(out().resolve(file)) > 0, file);
    }
    try (Device device = Device.cpu();
        PeftAdapter adapter = PeftAdapter.load(device, out())) {
      assertEquals(14, adapter.modules().size());
      assertEquals(4, adapter.config().rank());
    }
    try (Device device = Device.cpu();
        PeftAdapter adapter = PeftAdapter.load(device, out().resolve("checkpoint-4"))) {
      assertEquals(14, adapter.modules().size());
    }
  }

  @Test
  void fullFineTuningWritesAModelThatTrainsOn() {
    CommandRun run = train("--full", "--max-steps", "20", "--learning-rate", "1e-3");
    assertEquals(0, run.code(), run.err());
    double after = run.json().number("last_loss");
    assertTrue(after < run.json().number("first_loss"), run.out());
    Path model = out().resolve("model");
    List<String> again =
        List.of(
            "train",
            "--model",
            model.toString(),
            "--data",
            data.toString(),
            "--out",
            directory.resolve("again").toString(),
            "--full",
            "--max-steps",
            "1",
            "--json");
    CommandRun second = lk(again.toArray(String[]::new));
    assertEquals(0, second.code(), second.err());
    assertTrue(second.json().number("first_loss") < run.json().number("first_loss"), second.out());
  }

  @Test
  void patternsAndLayersChooseWhatIsTrained() {
    CommandRun run =
        train(
            "--max-steps",
            "1",
            "--layers",
            "1-1",
            "--lora-target-modules",
            "q_proj,down_proj",
            "--rank-pattern",
            "down_proj=2",
            "--use-rslora");
    assertEquals(0, run.code(), run.err());
    try (Device device = Device.cpu();
        PeftAdapter adapter = PeftAdapter.load(device, out())) {
      assertEquals(2, adapter.modules().size(), adapter.modules().keySet().toString());
      assertEquals(2, adapter.modules().get("model.layers.1.mlp.down_proj").rank());
      assertEquals(16, adapter.modules().get("model.layers.1.self_attn.q_proj").rank());
      assertTrue(adapter.config().rsLora());
    }
  }

  // ---- what goes wrong

  @Test
  void aDamagedCheckpointIsPassedOverWithAMessage() throws IOException {
    assertEquals(0, train("--max-steps", "6", "--save-steps", "2").code());
    Path newest = out().resolve("checkpoint-6/optimizer.safetensors");
    byte[] bytes = Files.readAllBytes(newest);
    Files.write(newest, Arrays.copyOf(bytes, bytes.length - 1));
    CommandRun resumed = train("--max-steps", "8", "--save-steps", "2", "--resume");
    assertEquals(0, resumed.code(), resumed.err());
    assertTrue(resumed.err().contains("passed over a damaged checkpoint"), resumed.err());
    assertTrue(resumed.err().contains("optimizer.safetensors"), resumed.err());
    assertEquals(8, Files.readAllLines(out().resolve("metrics.jsonl")).size());
  }

  @Test
  void checkpointsOfAnEarlierRunAreNeitherMixedNorLost() {
    assertEquals(0, train("--max-steps", "4", "--save-steps", "2").code());
    assertFails(train("--max-steps", "2", "--save-steps", "2"), "earlier run", "resume");
    assertTrue(Files.isDirectory(out().resolve("checkpoint-4")));
    assertEquals(0, train("--max-steps", "2", "--save-steps", "2", "--overwrite").code());
    assertFalse(Files.isDirectory(out().resolve("checkpoint-4")));
  }

  @Test
  void tokensOfAnotherModelAreNamed() throws IOException {
    Path foreign = directory.resolve("foreign.jsonl");
    Files.writeString(
        foreign,
        "{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n{\"input_ids\": [1, 2], \"labels\": [1, 256]}\n");
    assertFails(
        train("--data", foreign.toString()),
        "foreign.jsonl",
        "row 2",
        "256",
        "0 to 255",
        "tokenizer");
  }

  @Test
  void dataWithoutExamplesAndLinesThatAreNotJsonAreNamed() throws IOException {
    Path empty = Files.writeString(directory.resolve("empty.jsonl"), "");
    assertFails(train("--data", empty.toString()), "empty.jsonl", "empty");
    Path broken =
        Files.writeString(
            directory.resolve("broken.jsonl"), "{\"input_ids\": [1, 2]}\n{\"input_ids\": [1,\n");
    assertFails(train("--data", broken.toString()), "broken.jsonl", "line 2", "not JSON");
  }

  @Test
  void aRunThatCannotFitIsRefusedWithWhatWould() {
    CommandRun refused = train("--memory-limit", "60M");
    assertFails(refused, "needs", "60 MiB", "fit");
    assertFalse(Files.exists(out()));
    assertEquals(0, train("--memory-limit", "0", "--max-steps", "1").code());
  }

  @Test
  void adapterAndFullExcludeEachOther() {
    assertFails(train("--full", "--adapter", MODEL.resolve("adapter").toString()), "exclude");
    assertFails(train("--lr-scheduler", "polynomial"), "constant, linear, cosine");
    assertFails(train("--layers", "3"), "FROM-TO");
  }

  @Test
  void anOutputThatCannotBeWrittenIsNamedBeforeAnythingIsTrained() throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "");
    List<String> arguments =
        List.of(
            "train",
            "--model",
            MODEL.toString(),
            "--data",
            data.toString(),
            "--out",
            file.resolve("out").toString());
    assertFails(lk(arguments.toArray(String[]::new)), "output directory", file.toString());
  }

  /** A limit on the size of files stands for a full disk: writes fail in the middle of a file. */
  @Test
  void aDiskThatIsFullLosesNothing() throws Exception {
    assertEquals(0, train("--max-steps", "2", "--save-steps", "2").code());
    Path log = directory.resolve("log");
    Process process =
        LkProcess.startLimited(
            log,
            100,
            "train",
            "--model",
            MODEL.toString(),
            "--data",
            data.toString(),
            "--out",
            out().toString(),
            "--max-steps",
            "4",
            "--save-steps",
            "2",
            "--resume");
    assertEquals(1, process.waitFor(), Files.readString(log));
    assertTrue(Files.readString(log).contains("check the free space"), Files.readString(log));
    CommandRun resumed = train("--max-steps", "4", "--save-steps", "2", "--resume");
    assertEquals(0, resumed.code(), resumed.err());
    assertFalse(resumed.err().contains("damaged"), resumed.err());
    assertEquals(4, Files.readAllLines(out().resolve("metrics.jsonl")).size());
  }

  @Test
  void nothingIsLeftOpenAtTheEnd() throws InterruptedException {
    List<LeakReports.Leak> leaks = Collections.synchronizedList(new ArrayList<>());
    collect();
    LeakReports.listener(leaks::add);
    try {
      assertEquals(0, train("--max-steps", "3", "--bits", "4", "--use-dora").code());
      collect();
      assertEquals(List.of(), leaks);
    } finally {
      LeakReports.listener(null);
    }
  }

  /** Objects that are out of reach report themselves soon after a collection. */
  private static void collect() throws InterruptedException {
    for (int i = 0; i < 3; i++) {
      System.gc();
      Thread.sleep(30);
    }
  }
}
