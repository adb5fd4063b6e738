package org.lorakernels.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.training.checkpoint.TrainingCheckpoint;

/**
 * A run that is killed at random moments and started again until it ends. The default is a few
 * kills; {@code -Dlk.kills=50} asks for more.
 */
class KilledRunTest {
  private static final int KILLS = Integer.getInteger("lk.kills", 8);
  private static final int STEPS = 400;
  private static final Path MODEL =
      Path.of(System.getProperty("lk.home"), "tests/src/test/resources/golden/models/llama");

  @TempDir private Path directory;

  private String[] arguments(Path data, Path out) {
    return new String[] {
      "train",
      "--model",
      MODEL.toString(),
      "--data",
      data.toString(),
      "--out",
      out.toString(),
      "--bits",
      "4",
      "--lora-r",
      "4",
      "--lora-dropout",
      "0.1",
      "--batch-size",
      "2",
      "--max-steps",
      Integer.toString(STEPS),
      "--save-steps",
      "3",
      "--learning-rate",
      "1e-3",
      "--lr-scheduler",
      "cosine",
      "--resume"
    };
  }

  @Test
  void theNewestCheckpointAlwaysLoadsAndTheRunEndsInTheSameBits() throws Exception {
    Path data = TokenFiles.write(directory.resolve("train.jsonl"), 24, 12, 256, 1);
    Path log = directory.resolve("log");
    Path straight = directory.resolve("straight");
    Process whole = LkProcess.start(log, List.of(), arguments(data, straight));
    assertEquals(0, whole.waitFor(), () -> read(log));

    Path killed = directory.resolve("killed");
    Random random = new Random(7);
    List<Long> steps = new ArrayList<>();
    for (int kill = 0; kill < KILLS; kill++) {
      long before = newest(killed, steps);
      Process process = LkProcess.start(log, List.of(), arguments(data, killed));
      // Until it has written something of its own, then a random moment more.
      while (process.isAlive() && newestStep(killed) <= before) {
        Thread.sleep(2);
      }
      process.waitFor(random.nextInt(120), TimeUnit.MILLISECONDS);
      process.destroyForcibly().waitFor();
      newest(killed, steps);
    }
    Process last = LkProcess.start(log, List.of(), arguments(data, killed));
    assertEquals(0, last.waitFor(), () -> read(log));

    for (String file : new String[] {"adapter_model.safetensors", "metrics.jsonl"}) {
      assertArrayEquals(
          Files.readAllBytes(straight.resolve(file)),
          Files.readAllBytes(killed.resolve(file)),
          file + " after kills at steps " + steps);
    }
    assertTrue(steps.stream().distinct().count() > 1, "every kill came at the same step: " + steps);
    assertEquals(List.of(), hidden(killed), "a kill left something behind for good");
  }

  /** The step of the newest checkpoint, opened and checked; nothing newer is damaged. */
  private static long newest(Path output, List<Long> steps) {
    List<String> damaged = new ArrayList<>();
    long step =
        TrainingCheckpoint.newest(output, damaged::add).map(TrainingCheckpoint::step).orElse(0L);
    assertEquals(List.of(), damaged);
    steps.add(step);
    return step;
  }

  /** The step of the newest checkpoint by its name. */
  private static long newestStep(Path output) throws IOException {
    if (!Files.isDirectory(output)) {
      return 0;
    }
    try (var entries = Files.list(output)) {
      return entries
          .map(entry -> entry.getFileName().toString())
          .filter(name -> name.startsWith("checkpoint-"))
          .mapToLong(name -> Long.parseLong(name.substring("checkpoint-".length())))
          .max()
          .orElse(0);
    }
  }

  private static List<String> hidden(Path output) throws IOException {
    try (var entries = Files.list(output)) {
      return entries
          .map(entry -> entry.getFileName().toString())
          .filter(name -> name.startsWith("."))
          .toList();
    }
  }

  private static String read(Path log) {
    try {
      return Files.readString(log);
    } catch (IOException e) {
      return e.toString();
    }
  }
}
