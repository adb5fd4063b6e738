package org.lorakernels.training.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Tensor;
import org.lorakernels.json.JsonObject;
import org.lorakernels.oracle.Scope;

class TrainingCheckpointTest {
  private static final String TENSORS = "parameters.safetensors";

  @TempDir private Path output;
  private final Scope scope = Scope.cpu();
  private Tensor tensor;

  @BeforeEach
  void tensor() {
    tensor = scope.zeros(DType.F32, 3, 5);
  }

  @AfterEach
  void close() {
    scope.close();
  }

  /** A checkpoint of a step, whose tensor holds the step's number. */
  private Path write(CheckpointWriter writer, long step) {
    tensor.fill(step);
    return writer.write(
        step, new JsonObject().put("a", step), Map.of(TENSORS, Map.of("w", tensor)), path -> {});
  }

  @Test
  void theNewestIsFoundAndRestored() {
    CheckpointWriter writer = new CheckpointWriter(output, 0);
    write(writer, 9);
    write(writer, 10);
    List<String> damaged = new ArrayList<>();
    TrainingCheckpoint newest = TrainingCheckpoint.newest(output, damaged::add).orElseThrow();
    assertEquals(10, newest.step());
    assertEquals(10, newest.state().integer("a"));
    tensor.fill(0);
    newest.restore(scope.device(), TENSORS, Map.of("w", tensor));
    assertEquals(10f, tensor.get(2, 4));
    assertEquals(List.of(), damaged);
    assertTrue(TrainingCheckpoint.newest(output.resolve("none"), damaged::add).isEmpty());
  }

  @Test
  void theOldestGoAndStayOnlyAsManyAsWanted() throws IOException {
    CheckpointWriter writer = new CheckpointWriter(output, 2);
    for (long step : new long[] {5, 10, 15, 20}) {
      write(writer, step);
    }
    try (Stream<Path> entries = Files.list(output)) {
      assertArrayEquals(
          new String[] {"checkpoint-15", "checkpoint-20"},
          entries.map(entry -> entry.getFileName().toString()).sorted().toArray());
    }
  }

  @Test
  void everyDamageIsSeenAndPassedOverWithItsName() throws IOException {
    CheckpointWriter writer = new CheckpointWriter(output, 0);
    write(writer, 1);
    truncate(write(writer, 2).resolve(TENSORS));
    flip(write(writer, 3).resolve(TENSORS));
    truncate(write(writer, 4).resolve(TrainingCheckpoint.FILE));
    Files.delete(write(writer, 5).resolve(TENSORS));
    Files.delete(write(writer, 6).resolve(TrainingCheckpoint.FILE));
    List<String> damaged = new ArrayList<>();
    assertEquals(1, TrainingCheckpoint.newest(output, damaged::add).orElseThrow().step());
    String[][] expected = {
      {"checkpoint-6", TrainingCheckpoint.FILE},
      {"checkpoint-5", TENSORS, "missing"},
      {"checkpoint-4", TrainingCheckpoint.FILE},
      {"checkpoint-3", TENSORS, "checksum"},
      {"checkpoint-2", TENSORS, "truncated"}
    };
    for (int i = 0; i < expected.length; i++) {
      for (String word : expected[i]) {
        assertTrue(damaged.get(i).contains(word), damaged.get(i));
      }
    }
  }

  private static void truncate(Path file) throws IOException {
    try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
      access.setLength(access.length() / 2);
    }
  }

  private static void flip(Path file) throws IOException {
    try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
      access.seek(access.length() - 3);
      int old = access.read();
      access.seek(access.length() - 3);
      access.write(old ^ 1);
    }
  }

  @Test
  void whatAKilledProcessLeftIsRemovedAndNothingElse() throws IOException {
    Path half =
        Files.createDirectories(
            output.resolve(".checkpoint-7.9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d.tmp"));
    Files.writeString(half.resolve(TENSORS), "half");
    Files.writeString(
        output.resolve(".metrics.jsonl.9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d.tmp"), "half");
    Files.createDirectories(output.resolve(".checkpoint-3.removed.old"));
    Files.createDirectories(output.resolve(".mine.tmp"));
    new CheckpointWriter(output, 0);
    try (Stream<Path> entries = Files.list(output)) {
      assertArrayEquals(
          new String[] {".mine.tmp"},
          entries.map(entry -> entry.getFileName().toString()).toArray());
    }
  }

  @Test
  void aWriteThatFailsLeavesTheOthersAndNoTrace() throws IOException {
    CheckpointWriter writer = new CheckpointWriter(output, 1);
    write(writer, 1);
    CheckpointException full = new CheckpointException(output, "No space left on device");
    CheckpointException seen =
        assertThrows(
            CheckpointException.class,
            () ->
                writer.write(
                    2,
                    new JsonObject(),
                    Map.of(),
                    path -> {
                      throw full;
                    }));
    assertEquals(full, seen);
    try (Stream<Path> entries = Files.list(output)) {
      assertEquals(List.of("checkpoint-1"), entries.map(e -> e.getFileName().toString()).toList());
    }
    TrainingCheckpoint.open(output.resolve("checkpoint-1"));
  }

  @Test
  void aDirectoryThatCannotBeMadeIsNamed() throws IOException {
    Path file = Files.writeString(output.resolve("file"), "");
    CheckpointException failure =
        assertThrows(CheckpointException.class, () -> new CheckpointWriter(file, 1));
    assertTrue(failure.getMessage().contains(file.toString()), failure.getMessage());
  }

  @Test
  void tensorsOfAnotherRunAreRefused() {
    Path written = write(new CheckpointWriter(output, 0), 1);
    TrainingCheckpoint checkpoint = TrainingCheckpoint.open(written);
    Tensor other = scope.zeros(DType.F32, 3, 4);
    assertDiffers(checkpoint, Map.of("w", other), "[3, 5]");
    assertDiffers(checkpoint, Map.of("w", tensor, "v", other), "\"v\"");
    assertDiffers(checkpoint, Map.of(), "\"w\"");
  }

  private void assertDiffers(
      TrainingCheckpoint checkpoint, Map<String, Tensor> targets, String what) {
    CheckpointException differs =
        assertThrows(
            CheckpointException.class, () -> checkpoint.restore(scope.device(), TENSORS, targets));
    assertTrue(differs.getMessage().contains(what), differs.getMessage());
    assertFalse(differs.getMessage().isBlank());
  }
}
