package org.lorakernels.merge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.safetensors.CraftedFile;

/** Merges that end early: by a failure, kill -9 or a full disk. */
class InterruptedMergeTest {
  private static final Path LLAMA = CraftedFile.resource("golden/models/llama");
  private static final long SHARD = 100_000; // of 427 kB

  @TempDir Path directory;

  private Path target() {
    return directory.resolve("out");
  }

  private Path unfinished() {
    return directory.resolve(".out.partial");
  }

  private static void merge(Device device, Path target, float weight, int failAfter) {
    try (PeftAdapter adapter = PeftAdapter.load(device, LLAMA.resolve("adapter"))) {
      int[] count = new int[1];
      CheckpointMerger.of(LLAMA)
          .adapters(
              List.of(new WeightedAdapter(adapter, weight)), CombineConfig.of(CombineMethod.LINEAR))
          .maxShardBytes(SHARD)
          .progress(
              (done, total, tensor) -> {
                if (++count[0] == failAfter) {
                  throw new IllegalStateException("stop");
                }
              })
          .merge(device, target);
    }
  }

  private static Map<String, Object> shards(Path in) throws IOException {
    Map<String, Object> inodes = new TreeMap<>();
    try (Stream<Path> files = Files.list(in)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
        inodes.put(file.getFileName().toString(), Files.getAttribute(file, "unix:ino"));
      }
    }
    return inodes;
  }

  private static Set<String> names(Path in) throws IOException {
    try (Stream<Path> files = Files.list(in)) {
      return new TreeSet<>(files.map(file -> file.getFileName().toString()).toList());
    }
  }

  /** The same files with the same bytes as a merge that nothing interrupted. */
  private void assertComplete(Device device) throws IOException {
    Path whole = directory.resolve("whole");
    merge(device, whole, 1, 0);
    assertEquals(names(whole), names(target()));
    for (String name : names(whole)) {
      assertArrayEquals(
          Files.readAllBytes(whole.resolve(name)),
          Files.readAllBytes(target().resolve(name)),
          name);
    }
    assertFalse(Files.exists(unfinished()));
  }

  @Test
  void goesOnWhereItStopped() throws IOException {
    try (Device device = Device.cpu()) {
      assertThrows(IllegalStateException.class, () -> merge(device, target(), 1, 12));
      assertFalse(Files.exists(target()), "nothing that looks finished");
      assertFalse(Files.exists(unfinished().resolve("config.json")));
      Map<String, Object> before = shards(unfinished());
      assertTrue(before.size() >= 2, "some shards are complete: " + before);
      merge(device, target(), 1, 0);
      Map<String, Object> after = shards(target());
      before.forEach((name, inode) -> assertEquals(inode, after.get(name), name + " was kept"));
      assertComplete(device);
    }
  }

  /** Shards of a merge with another weight would show in the bytes. */
  @Test
  void startsAgainWhenAnythingElseIsMerged() throws IOException {
    try (Device device = Device.cpu()) {
      assertThrows(IllegalStateException.class, () -> merge(device, target(), 0.5f, 12));
      assertTrue(shards(unfinished()).size() >= 2, "some shards are complete");
      merge(device, target(), 1, 0);
      assertComplete(device);
    }
  }

  @Test
  void onlyOneMergeWritesATarget() {
    try (Device device = Device.cpu();
        PeftAdapter adapter = PeftAdapter.load(device, LLAMA.resolve("adapter"))) {
      CheckpointException[] refused = new CheckpointException[1];
      CheckpointMerger.of(LLAMA)
          .adapters(
              List.of(new WeightedAdapter(adapter, 1)), CombineConfig.of(CombineMethod.LINEAR))
          .progress(
              (done, total, tensor) -> {
                if (refused[0] == null) {
                  refused[0] =
                      assertThrows(CheckpointException.class, () -> merge(device, target(), 1, 0));
                }
              })
          .merge(device, target());
      assertTrue(refused[0].getMessage().contains("somebody else is writing"));
    }
  }

  private List<String> command(long pause) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    String cache = System.getProperty("org.bytedeco.javacpp.cachedir");
    if (cache != null) {
      command.add("-Dorg.bytedeco.javacpp.cachedir=" + cache);
    }
    command.addAll(
        List.of(
            "-XX:-UsePerfData",
            "-cp",
            System.getProperty("java.class.path"),
            MergeProcess.class.getName(),
            LLAMA.toString(),
            LLAMA.resolve("adapter").toString(),
            target().toString(),
            String.valueOf(SHARD),
            String.valueOf(pause)));
    return command;
  }

  @Test
  void aKilledProcessLeavesNothingThatLooksFinished() throws Exception {
    Process process = new ProcessBuilder(command(200)).redirectErrorStream(true).start();
    try (BufferedReader output = process.inputReader()) {
      List<String> lines = new ArrayList<>();
      for (int i = 0; i < 14; i++) {
        String line = output.readLine();
        assertTrue(line != null, "the merge ended: " + lines);
        lines.add(line);
      }
    } finally {
      process.destroyForcibly(); // SIGKILL
    }
    assertTrue(process.waitFor(1, TimeUnit.MINUTES));
    assertEquals(128 + 9, process.exitValue());
    assertFalse(Files.exists(target()));
    Map<String, Object> before = shards(unfinished());
    assertFalse(before.isEmpty());
    try (Device device = Device.cpu()) {
      merge(device, target(), 1, 0);
      Map<String, Object> after = shards(target());
      before.forEach((name, inode) -> assertEquals(inode, after.get(name), name + " was kept"));
      assertComplete(device);
    }
  }

  /**
   * A limit on the size of files stands for the full disk: writing fails in the middle of a file.
   */
  @Test
  void aFullDiskIsToldAndLeavesNothingThatLooksFinished() throws Exception {
    List<String> limited = new ArrayList<>(List.of("bash", "-c", "ulimit -f 40; exec \"$@\"", "-"));
    limited.addAll(command(0));
    Process process = new ProcessBuilder(limited).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes());
    assertTrue(process.waitFor(1, TimeUnit.MINUTES));
    assertEquals(MergeProcess.REFUSED, process.exitValue(), output);
    assertTrue(output.contains("File too large") && output.contains("free space"), output);
    assertFalse(Files.exists(target()));
    assertFalse(Files.exists(unfinished().resolve("config.json")));
    try (Device device = Device.cpu()) {
      merge(device, target(), 1, 0);
      assertComplete(device);
    }
  }
}
