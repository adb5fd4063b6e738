package org.lorakernels.huggingface;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.oracle.Failures.fails;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.safetensors.CraftedFile;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsFile;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorSpec;

/**
 * Quantised checkpoints against those that transformers and bitsandbytes made of the same weights.
 */
class CheckpointQuantizerTest {
  private static final Path LLAMA = CraftedFile.resource("golden/models/llama");
  private static final Path NF4 = CraftedFile.resource("golden/models/llama_nf4");
  private static final Path NF4_DQ = CraftedFile.resource("golden/models/llama_nf4_dq");

  private final Device device = Device.cpu();

  @TempDir Path directory;

  @AfterEach
  void closeDevice() {
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  private Path target() {
    return directory.resolve("out");
  }

  // ---- against transformers

  @Test
  void equalsTransformersByteForByte() throws IOException {
    QuantizationReport report = CheckpointQuantizer.of(LLAMA).quantize(device, target());
    assertSameFiles(NF4);
    assertEquals(14, report.quantized().size());
    assertEquals(7, report.kept().size());
    assertEquals(List.of(), report.unknown());
    assertEquals(List.of("model.safetensors"), report.files());
    assertEquals(427_264, report.sourceBytes());
    assertEquals(175_804, report.resultBytes());
  }

  @Test
  void equalsTransformersDoubleQuantizedByteForByte() throws IOException {
    CheckpointQuantizer.of(LLAMA).format(Nf4Format.doubleQuantized()).quantize(device, target());
    assertSameFiles(NF4_DQ);
  }

  /** Keys, JSON and every tensor; no other file. */
  private void assertSameFiles(Path expected) throws IOException {
    Set<String> names = Set.of("config.json", "generation_config.json", "model.safetensors");
    assertEquals(names, files(target()));
    for (String name : names) {
      assertArrayEquals(
          Files.readAllBytes(expected.resolve(name)),
          Files.readAllBytes(target().resolve(name)),
          name);
    }
  }

  private static ByteBuffer bytes(SafetensorsFile file, String name) {
    return file.read(name, 0, (int) file.info(name).byteSize());
  }

  // ---- other sources

  /** Writes a checkpoint of zeros (or counting bytes) with the given tensors. */
  private Path source(String config, TensorSpec... specs) throws IOException {
    Path source = Files.createDirectories(directory.resolve("source"));
    Files.writeString(source.resolve("config.json"), config);
    Files.writeString(source.resolve("tokenizer.json"), "{\"a tokenizer\": 1}");
    Files.writeString(source.resolve("pytorch_model.bin"), "weights of another kind");
    try (SafetensorsWriter writer =
        SafetensorsWriter.create(
            source.resolve("model.safetensors"), SafetensorsWriter.PYTORCH, List.of(specs))) {
      for (TensorSpec spec : specs) {
        ByteBuffer bytes = ByteBuffer.allocate((int) spec.byteSize());
        for (int i = 0; i < bytes.limit(); i++) {
          bytes.put(i, (byte) (i % 60));
        }
        writer.write(spec.name(), bytes);
      }
      writer.commit();
    }
    return source;
  }

  private static TensorSpec bf16(String name, long... shape) {
    return new TensorSpec(name, SafetensorsDtype.BF16, shape);
  }

  @Test
  void keepsWhatItDoesNotKnowUnlessIncluded() throws IOException {
    Path source =
        source(
            "{\"model_type\": \"x\", \"dtype\": \"bfloat16\"}",
            bf16("model.layers.0.self_attn.q_proj.weight", 3, 43),
            bf16("model.layers.0.self_attn.q_proj.bias", 3),
            bf16("model.layers.0.mlp.fc1.weight", 4, 32),
            bf16("model.layers.0.router.weight", 4, 32),
            bf16("model.layers.0.input_layernorm.weight", 43),
            bf16("model.embed_tokens.weight", 4, 32),
            new TensorSpec("model.position_ids", SafetensorsDtype.I64, 2, 2));
    QuantizationReport report =
        CheckpointQuantizer.of(source)
            .include(Pattern.compile("fc\\d\\.weight"))
            .quantize(device, target());
    assertEquals(
        List.of("model.layers.0.mlp.fc1.weight", "model.layers.0.self_attn.q_proj.weight"),
        report.quantized());
    assertEquals(List.of("model.layers.0.router.weight"), report.unknown());

    JsonObject quantization = config().object("quantization_config");
    assertEquals("bfloat16", quantization.string("bnb_4bit_compute_dtype"));
    assertEquals(
        List.of("model.layers.0.router", "lm_head"),
        quantization.array("llm_int8_skip_modules").strings(),
        "transformers must be told what is dense");
    try (Checkpoint checkpoint = Checkpoint.open(device, target());
        SafetensorsFile before = SafetensorsFile.open(source.resolve("model.safetensors"));
        SafetensorsFile after = SafetensorsFile.open(target().resolve("model.safetensors"));
        Nf4Tensor weight = checkpoint.nf4("model.layers.0.self_attn.q_proj.weight")) {
      assertEquals(DType.BF16, weight.sourceDtype());
      assertArrayEquals(new long[] {3, 43}, weight.shape());
      assertEquals(bytes(before, "model.position_ids"), bytes(after, "model.position_ids"));
    }
    assertEquals(Set.of("config.json", "model.safetensors", "tokenizer.json"), files(target()));
  }

  private JsonObject config() throws IOException {
    return JsonReader.parseObject(Files.readAllBytes(target().resolve("config.json")));
  }

  private static Set<String> files(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return new TreeSet<>(files.map(file -> file.getFileName().toString()).toList());
    }
  }

  /** Downloaded files are often read-only, and links into a cache. */
  @Test
  void carriesReadOnlyFilesAndLinks() throws IOException {
    Path source = source("{}", bf16("a.q_proj.weight", 2, 64));
    assertTrue(source.resolve("tokenizer.json").toFile().setReadOnly());
    Path blob = Files.writeString(directory.resolve("blob"), "a template");
    Files.createSymbolicLink(source.resolve("chat_template.jinja"), blob);
    CheckpointQuantizer.of(source).quantize(device, target());
    assertEquals("{\"a tokenizer\": 1}", Files.readString(target().resolve("tokenizer.json")));
    assertFalse(Files.isSymbolicLink(target().resolve("chat_template.jinja")));
    assertEquals("a template", Files.readString(target().resolve("chat_template.jinja")));
    Files.writeString(target().resolve("tokenizer.json"), "may be changed");
  }

  @Test
  void leavesOutAHeadThatRepeatsTiedEmbeddings() throws IOException {
    TensorSpec[] specs = {
      bf16("model.layers.0.mlp.up_proj.weight", 2, 64),
      bf16("model.embed_tokens.weight", 4, 32),
      bf16("lm_head.weight", 4, 32),
    };
    CheckpointQuantizer.of(source("{\"tie_word_embeddings\": true}", specs))
        .quantize(device, target());
    assertFalse(tensorNames().contains("lm_head.weight"), "tied");
    CheckpointQuantizer.of(source("{\"tie_word_embeddings\": false}", specs))
        .overwrite(true)
        .quantize(device, target());
    assertTrue(tensorNames().contains("lm_head.weight"), "not tied");
  }

  private List<String> tensorNames() {
    try (Checkpoint checkpoint = Checkpoint.open(device, target())) {
      return checkpoint.tensorNames();
    }
  }

  @Test
  void shardsReadAndWritten() throws IOException {
    Path whole = directory.resolve("whole");
    CheckpointQuantizer.of(LLAMA).format(Nf4Format.doubleQuantized()).quantize(device, whole);
    QuantizationReport report =
        CheckpointQuantizer.of(LLAMA)
            .format(Nf4Format.doubleQuantized())
            .maxShardBytes(70_000)
            .quantize(device, target());
    assertEquals(3, report.files().size());
    assertEquals("model-00001-of-00003.safetensors", report.files().get(0));
    JsonObject index =
        JsonReader.parseObject(Files.readAllBytes(target().resolve(SafetensorsStore.INDEX)));
    assertEquals(report.resultBytes(), index.object("metadata").integer("total_size"));
    for (String file : report.files()) {
      try (SafetensorsFile shard = SafetensorsFile.open(target().resolve(file))) {
        long size = shard.names().stream().mapToLong(name -> shard.info(name).byteSize()).sum();
        assertTrue(size <= 70_000, file + " has " + size);
      }
    }
    try (SafetensorsStore one = SafetensorsStore.open(whole);
        SafetensorsStore many = SafetensorsStore.open(target())) {
      assertEquals(new TreeSet<>(one.names()), new TreeSet<>(many.names()));
      for (String name : one.names()) {
        int size = (int) one.info(name).byteSize();
        assertEquals(one.read(name, 0, size), many.read(name, 0, size), name);
        if (name.endsWith(".absmax")) {
          String weight = name.substring(0, name.length() - ".absmax".length());
          assertEquals(
              index.object("weight_map").string(weight),
              index.object("weight_map").string(name),
              "a weight and its scales are in one shard");
        }
      }
    }
  }

  @Test
  void tellsItsProgress() {
    List<Long> done = new ArrayList<>();
    List<Long> totals = new ArrayList<>();
    CheckpointQuantizer.of(LLAMA)
        .format(Nf4Format.doubleQuantized())
        .progress(
            (doneBytes, totalBytes, tensor) -> {
              done.add(doneBytes);
              totals.add(totalBytes);
            })
        .quantize(device, target());
    assertEquals(21 + 14, done.size(), "double-quantised weights are quantised twice");
    assertEquals(done.stream().sorted().toList(), done);
    assertEquals(1, new TreeSet<>(totals).size());
    assertEquals(totals.get(0), done.get(done.size() - 1));
  }

  // ---- failures

  @Test
  void aFailureLeavesTheOldDirectoryAndNothingElse() throws IOException {
    Files.createDirectories(target());
    Files.writeString(target().resolve("precious"), "old");
    RuntimeException stop = new IllegalStateException("stop");
    CheckpointQuantizer quantizer =
        CheckpointQuantizer.of(LLAMA)
            .overwrite(true)
            .progress(
                (done, total, tensor) -> {
                  if (done > total / 2) {
                    throw stop;
                  }
                });
    assertEquals(
        stop,
        assertThrows(IllegalStateException.class, () -> quantizer.quantize(device, target())));
    assertEquals(Set.of("out"), files(directory));
    assertEquals(Set.of("precious"), files(target()));
  }

  @Test
  void replacesADirectoryOnlyWhenAsked() throws IOException {
    Files.createDirectories(target());
    CheckpointQuantizer.of(LLAMA).quantize(device, target()); // empty: nothing to lose
    assertRefused(
        CheckpointException.class,
        "the directory is not empty",
        () -> CheckpointQuantizer.of(LLAMA).quantize(device, target()));
    Files.writeString(target().resolve("extra"), "old");
    CheckpointQuantizer.of(LLAMA).overwrite(true).quantize(device, target());
    assertEquals(
        Set.of("config.json", "generation_config.json", "model.safetensors"), files(target()));
    assertEquals(Set.of("out"), files(directory));
  }

  @Test
  void refusesWhatItCannotQuantize() throws IOException {
    assertRefused(
        CheckpointException.class,
        "it is quantised already",
        () -> CheckpointQuantizer.of(NF4).quantize(device, target()));
    assertRefused(
        CheckpointException.class,
        "the target must lie outside of the source",
        () -> CheckpointQuantizer.of(LLAMA).overwrite(true).quantize(device, LLAMA.resolve("x")));
    Path integers =
        source("{}", new TensorSpec("a.q_proj.weight", SafetensorsDtype.F8_E4M3, 2, 64));
    assertRefused(
        UnsupportedException.class,
        "\"a.q_proj.weight\" F8_E4M3 [2, 64]",
        () -> CheckpointQuantizer.of(integers).quantize(device, target()));
    Path unknown = source("{}", bf16("a.fc.weight", 2, 64));
    assertRefused(
        CheckpointException.class,
        "include some of [a.fc.weight]",
        () -> CheckpointQuantizer.of(unknown).quantize(device, target()));
    Path vector = source("{}", bf16("a.fc.weight", 64));
    assertRefused(
        UnsupportedException.class,
        "only matrices are quantised",
        () ->
            CheckpointQuantizer.of(vector)
                .include(Pattern.compile("fc"))
                .quantize(device, target()));
  }

  @Test
  void refusesATruncatedSource() throws IOException {
    Path source = source("{}", bf16("a.q_proj.weight", 2, 64));
    try (RandomAccessFile file =
        new RandomAccessFile(source.resolve("model.safetensors").toFile(), "rw")) {
      file.setLength(file.length() - 1);
    }
    assertRefused(
        CheckpointException.class,
        "the file is truncated",
        () -> CheckpointQuantizer.of(source).quantize(device, target()));
  }

  private void assertRefused(
      Class<? extends LoraKernelsException> type, String part, Executable action)
      throws IOException {
    fails(type, action, part);
    assertTrue(
        files(directory).stream().noneMatch(name -> name.endsWith(".tmp")), "nothing is left over");
  }
}
