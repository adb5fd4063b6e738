package org.lorakernels.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.cli.CommandRun.lk;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.Device;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.json.JsonObject;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.safetensors.CraftedFile;

/** {@code lk merge}, run in this process with captured output. */
class MergeCommandTest {
  private static final String MODEL = CraftedFile.resource("golden/models/llama").toString();
  private static final Path ADAPTERS = CraftedFile.resource("golden/merge/adapters");

  @TempDir Path directory;

  private static String adapter(String name) {
    return ADAPTERS.resolve(name).toString();
  }

  @Test
  void mergesAndSaysWhatItCosts() {
    Path out = directory.resolve("out");
    CommandRun run =
        lk(
            "merge",
            "--model",
            MODEL,
            "--adapter",
            adapter("a") + ":0.5",
            "--adapter",
            adapter("b"),
            "--method",
            "ties",
            "--density",
            "0.5",
            "--out",
            out.toString(),
            "--json");
    assertEquals(0, run.code(), run.err());
    assertEquals("ties", run.json().string("method"));
    assertEquals("original", run.json().string("onto"));
    assertEquals(2, run.json().integer("changed"));
    JsonObject errors = run.json().object("errors");
    assertTrue(errors.object("original").number("against_original") < 1e-5, run.out());
    assertTrue(errors.object("dequantized").number("against_original") > 1e-3, run.out());
    try (Device device = Device.cpu();
        Checkpoint merged = Checkpoint.open(device, out)) {
      assertTrue(merged.contains("model.layers.0.mlp.down_proj.weight"));
    }
  }

  @Test
  void savesAnAdapter() {
    Path out = directory.resolve("adapter");
    CommandRun run =
        lk(
            "merge",
            "--model",
            MODEL,
            "--adapter",
            adapter("a"),
            "--adapter",
            adapter("d") + ":-0.3",
            "--method",
            "svd",
            "--rank",
            "5",
            "--save-adapter",
            "--out",
            out.toString());
    assertEquals(0, run.code(), run.err());
    assertTrue(run.out().contains("rank 5"), run.out());
    try (Device device = Device.cpu();
        PeftAdapter saved = PeftAdapter.load(device, out)) {
      assertEquals(5, saved.config().rank());
      assertEquals(2, saved.modules().size());
    }
  }

  @Test
  void aDryRunWritesOnlyAHeatMap() throws IOException {
    Path map = directory.resolve("signs.png");
    CommandRun run =
        lk(
            "merge",
            "--model",
            MODEL,
            "--adapter",
            adapter("a"),
            "--adapter",
            adapter("b"),
            "--method",
            "linear",
            "--dry-run",
            "--heat-map",
            map.toString());
    assertEquals(0, run.code(), run.err());
    assertTrue(
        run.out().contains("would merge 2") && run.out().contains("opposing signs"), run.out());
    assertTrue(ImageIO.read(map.toFile()).getWidth() > 100);
    try (var files = Files.list(directory)) {
      assertEquals(1, files.count());
    }
  }

  @Test
  void badInputIsOneLine() {
    Path out = directory.resolve("out");
    String[][] refused = {
      {"--method", "ties"},
      {"--method", "knit"},
      {"--method", "ties", "--density", "1.5"},
      {"--method", "linear", "--onto", "sand"},
      {"--method", "linear", "--out-dtype", "u8"},
      {}
    };
    String[] words = {"density", "knit", "(0, 1]", "original", "u8", "--method"};
    for (int i = 0; i < refused.length; i++) {
      java.util.List<String> arguments =
          new java.util.ArrayList<>(
              java.util.List.of(
                  "merge",
                  "--model",
                  MODEL,
                  "--out",
                  out.toString(),
                  "--adapter",
                  adapter("a"),
                  "--adapter",
                  adapter("b")));
      arguments.addAll(java.util.List.of(refused[i]));
      CommandRun run = lk(arguments.toArray(String[]::new));
      assertEquals(2, run.code(), run.out());
      assertEquals(1, run.err().lines().count(), run.err());
      assertTrue(run.err().contains(words[i]), run.err());
      assertFalse(Files.exists(out));
    }
    assertEquals(2, lk("merge", "--model", MODEL).code());
    CommandRun nowhere = lk("merge", "--model", MODEL, "--adapter", adapter("a"));
    assertEquals(2, nowhere.code(), nowhere.out());
    assertTrue(nowhere.err().contains("--out"), nowhere.err());
    CommandRun absent =
        lk("merge", "--model", MODEL, "--adapter", out + "/none", "--out", out.toString());
    assertEquals(1, absent.code(), "nothing is wrong with the usage");
  }
}
