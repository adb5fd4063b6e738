package org.lorakernels.training.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.training.data.TestTokenizers.BOS;
import static org.lorakernels.training.data.TestTokenizers.EOS;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.CheckpointException;
import org.lorakernels.ClosedException;
import org.lorakernels.InvalidArgumentException;

class TokenizerTest {
  private static final int HELLO = 259;

  @Test
  void mergesAndSpecialTokens() {
    try (Tokenizer tokenizer = TestTokenizers.open()) {
      assertArrayEquals(new int[] {BOS, HELLO}, tokenizer.encode("hello", true));
      assertArrayEquals(new int[] {HELLO, EOS}, tokenizer.encode("hello<|eos|>", false));
      assertArrayEquals(new int[] {BOS}, tokenizer.encode("", true));
      assertEquals(0, tokenizer.encode("", false).length);
      assertEquals(270, tokenizer.vocabularySize());
      assertEquals("hello", tokenizer.tokenText(HELLO));
      assertEquals(HELLO, tokenizer.tokenId("hello"));
      assertNull(tokenizer.tokenId("no such token"));
      assertEquals(BOS, tokenizer.bosId());
      assertEquals(EOS, tokenizer.eosId());
      assertEquals(TestTokenizers.PAD, tokenizer.padId());
      assertEquals("<|eos|>", tokenizer.specialTokens().get("eos_token"));
      assertTrue(tokenizer.addsBos());
    }
  }

  @Test
  void bosIsThereOnceWhoeverWroteIt() {
    try (Tokenizer tokenizer = TestTokenizers.open()) {
      assertArrayEquals(new int[] {BOS, HELLO}, tokenizer.encode("<|bos|>hello", true));
      assertArrayEquals(new int[] {BOS, HELLO}, tokenizer.encodePrompt("<|bos|>hello"));
      assertArrayEquals(new int[] {BOS}, tokenizer.encodePrompt(""));
    }
  }

  @Test
  void neverTruncates() {
    // the configuration says model_max_length 4, and DJL's default is 512
    try (Tokenizer tokenizer = TestTokenizers.open()) {
      assertEquals(5000, tokenizer.encode("hello".repeat(5000), false).length);
    }
  }

  @Test
  void configurationOverrulesThePostProcessor(@TempDir Path directory) throws IOException {
    TestTokenizers.copyTo(directory);
    Path config = directory.resolve("tokenizer_config.json");
    String original = Files.readString(config);
    Files.writeString(
        config,
        original.replaceFirst("\\{", "{\"add_bos_token\": false, \"add_eos_token\": true,"));
    try (Tokenizer tokenizer = Tokenizers.load(directory)) {
      assertArrayEquals(new int[] {HELLO, EOS}, tokenizer.encode("hello", true));
      assertArrayEquals(new int[] {HELLO}, tokenizer.encodePrompt("hello"));
      assertFalse(tokenizer.addsBos());
    }
    Files.writeString(config, "{\"add_bos_token\": true}");
    CheckpointException e =
        assertThrows(CheckpointException.class, () -> Tokenizers.load(directory));
    assertTrue(e.getMessage().contains("add_bos_token"), e.getMessage());
  }

  @Test
  void spansCountCharactersOfJava() {
    try (Tokenizer tokenizer = TestTokenizers.open()) {
      Encoding encoding = tokenizer.encodeWithSpans("\uD83D\uDE00hello", true);
      // BOS, four bytes of the emoji (two chars of Java), hello
      assertArrayEquals(new int[] {0, 0, 0, 0, 0, 2}, encoding.starts());
      assertArrayEquals(new int[] {0, 2, 2, 2, 2, 7}, encoding.ends());
      assertEquals("\uD83D\uDE00hello", tokenizer.decode(encoding.ids(), true));
      assertEquals("<|bos|>\uD83D\uDE00hello", tokenizer.decode(encoding.ids()));
    }
  }

  @Test
  void faultsSayWhatToDo(@TempDir Path directory) throws IOException {
    String missing =
        assertThrows(CheckpointException.class, () -> Tokenizers.load(directory)).getMessage();
    assertTrue(missing.contains("tokenizer.json") && missing.contains("input_ids"), missing);
    Files.writeString(directory.resolve("tokenizer.model"), "");
    String old =
        assertThrows(CheckpointException.class, () -> Tokenizers.load(directory)).getMessage();
    assertTrue(old.contains("save_pretrained"), old);
    for (String content : new String[] {"{", "{}", "{\"model\": {\"vocab\": {\"a\": 0}}}"}) {
      Files.writeString(directory.resolve("tokenizer.json"), content);
      assertThrows(CheckpointException.class, () -> Tokenizers.load(directory), content);
    }
    Tokenizer tokenizer = TestTokenizers.open();
    assertThrows(InvalidArgumentException.class, () -> tokenizer.decode(new int[] {270}));
    assertThrows(InvalidArgumentException.class, () -> tokenizer.tokenText(-1));
    tokenizer.close();
    tokenizer.close();
    assertThrows(ClosedException.class, () -> tokenizer.encode("a", true));
  }

  @Test
  void stories260K() {
    Path model = Path.of(System.getProperty("lk.home"), "../shared/models/stories260K");
    Assumptions.assumeTrue(
        Files.isDirectory(model), "SKIPPED: the stories260K checkpoint is not here");
    try (Tokenizer tokenizer = Tokenizers.load(model)) {
      int[] ids = tokenizer.encode("Once upon a time", true);
      assertArrayEquals(new int[] {1, 403, 407, 261, 378}, ids);
      assertEquals("Once upon a time", tokenizer.decode(ids, true));
      assertEquals(512, tokenizer.vocabularySize());
      assertEquals("\u2581a", tokenizer.tokenText(261));
      assertNull(tokenizer.padId());
    }
  }

  /** llama.cpp's vectors; the tokenizer itself is 11 MB and must be fetched by hand. */
  @Test
  void qwenVectors() throws IOException {
    Path vectors = Path.of(System.getProperty("lk.home"), "../shared/data/tokenizers");
    String directory = System.getenv("LK_QWEN_TOKENIZER");
    Assumptions.assumeTrue(
        directory != null && Files.isDirectory(vectors),
        "SKIPPED: LK_QWEN_TOKENIZER names no directory with Qwen's tokenizer.json");
    String input = Files.readString(vectors.resolve("ggml-vocab-qwen2.gguf.inp"));
    List<String> expected = Files.readAllLines(vectors.resolve("ggml-vocab-qwen2.gguf.out"));
    List<String> actual = new ArrayList<>();
    try (Tokenizer tokenizer = Tokenizers.load(Path.of(directory))) {
      for (String text : input.split("\n__ggml_vocab_test__\n", -1)) {
        StringBuilder line = new StringBuilder();
        Arrays.stream(tokenizer.encode(text, true)).forEach(id -> line.append(' ').append(id));
        actual.add(line.toString());
      }
    }
    assertEquals(
        expected.stream().map(String::strip).toList(),
        actual.subList(0, expected.size()).stream().map(String::strip).toList());
  }
}
