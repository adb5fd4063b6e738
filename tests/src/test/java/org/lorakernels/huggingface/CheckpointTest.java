package org.lorakernels.huggingface;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.oracle.Failures.fails;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.CheckpointException;
import org.lorakernels.CodeBook;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.Weight;
import org.lorakernels.safetensors.CraftedFile;

/** Checkpoints that transformers saved, dense and 4-bit, and damaged ones. */
class CheckpointTest {
  private static final Path LLAMA = CraftedFile.resource("golden/models/llama");
  private static final Path NF4 = CraftedFile.resource("golden/models/llama_nf4");
  private static final Path NF4_DQ = CraftedFile.resource("golden/models/llama_nf4_dq");
  private static final String DOWN = "model.layers.0.mlp.down_proj.weight";

  private final Device device = Device.cpu();

  @TempDir Path directory;

  @AfterEach
  void closeDevice() {
    device.close();
  }

  private Checkpoint open(Path path) {
    return Checkpoint.open(device, path);
  }

  @Test
  void readsADenseCheckpoint() {
    try (Checkpoint checkpoint = open(LLAMA)) {
      assertEquals(64, checkpoint.config().integer("hidden_size"));
      assertEquals(21, checkpoint.tensorNames().size());
      assertEquals(14, checkpoint.linearWeights().size());
      assertTrue(checkpoint.linearWeights().contains(DOWN));
      assertFalse(checkpoint.linearWeights().contains("lm_head.weight"));
      assertFalse(checkpoint.isQuantized(DOWN));
      try (Weight weight = checkpoint.weight(DOWN)) {
        assertInstanceOf(Tensor.class, weight);
        assertEquals("F32 [64, 128]", weight.toString());
      }
      fails(CheckpointException.class, () -> checkpoint.nf4(DOWN), "ask for dense(name)");
      fails(CheckpointException.class, () -> checkpoint.nf4("nope"), "does not exist");
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void readsAFourBitCheckpoint(boolean nested) {
    try (Checkpoint checkpoint = open(nested ? NF4_DQ : NF4)) {
      assertEquals(21, checkpoint.tensorNames().size(), "what stands beside weights does not show");
      assertEquals(14, checkpoint.linearWeights().size());
      assertArrayEquals(new long[] {64, 128}, checkpoint.shape(DOWN));
      for (String name : checkpoint.linearWeights()) {
        try (Nf4Tensor weight = checkpoint.nf4(name)) {
          assertEquals(nested ? Nf4Format.doubleQuantized() : Nf4Format.plain(), weight.format());
          assertEquals(DType.F32, weight.sourceDtype());
          assertEquals(nested, weight.nestedCode() != null);
        }
      }
      fails(CheckpointException.class, () -> checkpoint.dense(DOWN), "ask for nf4(name)");
    }
  }

  /**
   * The 4-bit weights stand for the dense ones: half a step of the widest gap between codes away.
   */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void fourBitWeightsAreCloseToTheDenseOnes(boolean nested) {
    try (Checkpoint dense = open(LLAMA);
        Checkpoint quantized = open(nested ? NF4_DQ : NF4);
        Tensor expected = dense.dense(DOWN);
        Nf4Tensor weight = quantized.nf4(DOWN);
        Tensor actual = LoraKernels.dequantize(weight, DType.F32)) {
      float[] e = expected.toFloatArray();
      float[] a = actual.toFloatArray();
      float largest = 0;
      for (float value : e) {
        largest = Math.max(largest, Math.abs(value));
      }
      // The widest gap of the code book is 0.304 of a block's maximum; double quantisation moves
      // the
      // maximum itself by a few per cent.
      for (int i = 0; i < e.length; i++) {
        assertEquals(e[i], a[i], 0.16f * largest, "element " + i);
      }
    }
  }

  @Test
  void weightsOutliveTheCheckpoint() {
    Checkpoint checkpoint = open(NF4);
    Nf4Tensor weight = checkpoint.nf4(DOWN);
    checkpoint.close();
    try (weight;
        Tensor dense = LoraKernels.dequantize(weight, DType.BF16)) {
      assertEquals("BF16 [64, 128]", dense.toString());
    }
  }

  // ---- crafted weights

  private static final int ELEMENTS = 128; // [2, 64]: two blocks

  private static String entry(String name, String dtype, String shape, int from, int to) {
    return "\""
        + name
        + "\":{\"dtype\":\""
        + dtype
        + "\",\"shape\":"
        + shape
        + ",\"data_offsets\":["
        + from
        + ","
        + to
        + "]}";
  }

  /** A weight of 128 elements; the state and the header may be bent before it is written. */
  private Checkpoint crafted(String type, String state, UnaryOperator<String> bend)
      throws IOException {
    int stateLength = state.length();
    String header =
        "{"
            + entry("q_proj.weight.absmax", "F32", "[2]", 0, 8)
            + ","
            + entry("q_proj.weight", "U8", "[64,1]", 8, 72)
            + ","
            + entry(
                "q_proj.weight.quant_state.bitsandbytes__" + type,
                "U8",
                "[" + stateLength + "]",
                72,
                72 + stateLength)
            + "}";
    byte[] file = CraftedFile.bytes(bend.apply(header), 72 + stateLength);
    System.arraycopy(
        state.getBytes(StandardCharsets.US_ASCII), 0, file, file.length - stateLength, stateLength);
    Files.write(directory.resolve("model.safetensors"), file);
    Files.writeString(directory.resolve("config.json"), "{}");
    return open(directory);
  }

  /** Checkpoints of old versions give no nested members, and some leave the code book out. */
  @ParameterizedTest
  @CsvSource({"nf4, NF4", "fp4, FP4"})
  void readsOldCheckpointsOfBothCodeBooks(String type, CodeBook codeBook) throws IOException {
    String state =
        "{\"quant_type\": \""
            + type
            + "\", \"blocksize\": 64, \"dtype\": \"float16\", \"shape\": [2, 64]}";
    try (Checkpoint checkpoint = crafted(type, state, header -> header);
        Nf4Tensor weight = checkpoint.nf4("q_proj.weight")) {
      assertEquals(Nf4Format.plain().withCodeBook(codeBook), weight.format());
      assertEquals(DType.F16, weight.sourceDtype());
      assertEquals(ELEMENTS, weight.elementCount());
      assertNull(weight.nestedAbsmax());
    }
  }

  /** bnb_4bit_quant_storage puts the codes under another element type; the bytes are the same. */
  @Test
  void readsCodesStoredAsBf16() throws IOException {
    String state =
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": [2, 64]}";
    try (Checkpoint checkpoint =
            crafted(
                "nf4",
                state,
                h -> h.replace("\"U8\",\"shape\":[64,1]", "\"BF16\",\"shape\":[32,1]"));
        Nf4Tensor weight = checkpoint.nf4("q_proj.weight")) {
      assertEquals("U8 [64, 1]", weight.packed().toString());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        // member of the state | its replacement | part of the message
        "\"nf4\", | \"int8\", | \"quant_type\": expected \"nf4\" or \"fp4\", but is \"int8\"",
        "64, \"dtype\" | 48, \"dtype\" | \"blocksize\": expected a power of two",
        "\"float32\" | \"float64\" | \"dtype\": expected float32, bfloat16 or float16",
        "[2, 64] | [128] | \"shape\": expected [rows, columns]",
        "[2, 64] | [4294967296, 4294967296] | fewer than 2^63 elements",
        "[2, 64] | [2, 63] | takes 63 bytes of codes, but there are 64",
        "\"blocksize\": 64 | \"blocksize\": 32 | .absmax must be F32 [4], but is F32 [2]",
        "} | , \"nested_offset\": 0.5} | .absmax must be U8 [2], but is F32 [2]",
        "{ | { { | JSON line 1",
      })
  void refusesStatesThatDoNotFit(String member, String replacement, String message)
      throws IOException {
    String state =
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"float32\", \"shape\": [2, 64]}";
    String bent = state.replace(member, replacement);
    assertFalse(bent.equals(state), "the case changes something");
    fails(
        CheckpointException.class,
        () -> {
          try (Checkpoint checkpoint = crafted("nf4", bent, header -> header)) {
            checkpoint.nf4("q_proj.weight").close();
          }
        },
        message);
  }

  @Test
  void refusesWeightsWithoutScales() {
    String state =
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"float32\", \"shape\": [2, 64]}";
    fails(
        CheckpointException.class,
        () -> {
          try (Checkpoint checkpoint =
              crafted("nf4", state, h -> h.replace(".absmax", ".absmin"))) {
            checkpoint.nf4("q_proj.weight").close();
          }
        },
        "\"q_proj.weight\": .absmax is missing");
  }

  @Test
  void refusesCodeBooksOfItsOwn() {
    String state =
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"float32\", \"shape\": [1, 32]}";
    // The 64 bytes that were codes become a code book of 16 floats.
    fails(
        UnsupportedException.class,
        () -> {
          try (Checkpoint checkpoint =
              crafted(
                  "nf4",
                  state,
                  h ->
                      h.replace(
                          "\"q_proj.weight\":{\"dtype\":\"U8\",\"shape\":[64,1]",
                          "\"q_proj.weight.quant_map\":{\"dtype\":\"F32\",\"shape\":[16]"))) {
            checkpoint.nf4("q_proj.weight").close();
          }
        },
        "quant_map\": value 0 must be -1.0 (NF4)");
  }

  @ParameterizedTest
  @ValueSource(strings = {"gptq", "awq", "bitsandbytes"})
  void refusesOtherQuantisations(String method) throws IOException {
    CraftedFile.write(directory.resolve("model.safetensors"), "{}", 0);
    Files.writeString(
        directory.resolve("config.json"),
        "{\"quantization_config\":{\"quant_method\":\"" + method + "\",\"load_in_8bit\":true}}");
    fails(
        UnsupportedException.class,
        () -> open(directory).close(),
        "quantised by \"" + method + "\"");
  }

  @Test
  void refusesDirectoriesThatAreNoCheckpoint() throws IOException {
    fails(CheckpointException.class, () -> open(directory).close(), "with config.json");
    Files.writeString(directory.resolve("config.json"), "{\"hidden_size\": }");
    fails(CheckpointException.class, () -> open(directory).close(), "config: JSON line 1");
    Files.writeString(directory.resolve("config.json"), "{}");
    fails(CheckpointException.class, () -> open(directory).close(), "expected model.safetensors");
  }
}
