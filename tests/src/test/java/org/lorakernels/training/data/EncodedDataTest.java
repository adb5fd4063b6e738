package org.lorakernels.training.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;

class EncodedDataTest {
  private static final int CAPACITY = 16;

  /** Sequences of {@code CAPACITY} tokens at most; each begins with its own number. */
  @Provide
  Arbitrary<List<Example>> sequences() {
    return Arbitraries.integers()
        .between(2, CAPACITY)
        .list()
        .ofMinSize(1)
        .ofMaxSize(60)
        .map(
            lengths -> {
              List<Example> examples = new ArrayList<>();
              for (int i = 0; i < lengths.size(); i++) {
                int[] ids = IntStream.range(0, lengths.get(i)).map(t -> 100 + t).toArray();
                ids[0] = i;
                int[] labels = ids.clone();
                labels[0] = Batch.IGNORED;
                examples.add(new Example.Tokens(ids, labels));
              }
              return examples;
            });
  }

  private static EncodedData data(List<Example> examples, Collation collation) {
    return EncodedData.of(
        examples, new ExampleEncoder(null, null, EncodingOptions.ofLength(CAPACITY)), collation);
  }

  @Property(tries = 200)
  void packingKeepsEverySequenceWholeAndOnce(@ForAll("sequences") List<Example> examples) {
    EncodedData packed = data(examples, Collation.PACK);
    boolean[] seen = new boolean[examples.size()];
    for (int row = 0; row < packed.size(); row++) {
      Batch batch = packed.batch(new int[] {row});
      assertTrue(batch.tokens() <= CAPACITY, batch.toString());
      for (int s = 0; s < batch.sequences(); s++) {
        int[] ids =
            Arrays.copyOfRange(batch.inputIds(), batch.offsets()[s], batch.offsets()[s + 1]);
        assertFalse(seen[ids[0]]);
        seen[ids[0]] = true;
        assertArrayEquals(((Example.Tokens) examples.get(ids[0])).inputIds(), ids);
      }
    }
    assertTrue(IntStream.range(0, seen.length).allMatch(i -> seen[i]));
    // any fitting heuristic leaves at most one row that is not more than half full
    int total = IntStream.range(0, examples.size()).map(i -> length(examples.get(i))).sum();
    assertTrue(packed.size() <= 2 * total / CAPACITY + 1, packed.size() + " rows for " + total);
    assertTrue(packed.longestRow() <= CAPACITY);
  }

  private static int length(Example example) {
    return ((Example.Tokens) example).inputIds().length;
  }

  @Property(tries = 100)
  void paddingAddsIgnoredTokensAtTheEndAlone(
      @ForAll("sequences") List<Example> examples,
      @ForAll @IntRange(min = 1, max = 8) int multiple) {
    List<EncodedExample> encoded = new ArrayList<>();
    for (Example example : examples) {
      Example.Tokens tokens = (Example.Tokens) example;
      float[] weights = encoded.size() % 2 == 0 ? null : new float[tokens.inputIds().length];
      encoded.add(new EncodedExample(tokens.inputIds(), tokens.labels(), weights));
    }
    Batch ragged = Collator.ragged(encoded);
    Batch padded = Collator.padded(encoded, 77, multiple);
    int longest = encoded.stream().mapToInt(EncodedExample::length).max().getAsInt();
    int length = padded.offsets()[1];
    assertTrue(length >= longest && length < longest + multiple && length % multiple == 0);
    assertEquals(ragged.labelledTokens(), padded.labelledTokens());
    int[] ids = padded.inputIds();
    int[] labels = padded.labels();
    for (int s = 0; s < encoded.size(); s++) {
      assertEquals((s + 1) * length, padded.offsets()[s + 1]);
      EncodedExample example = encoded.get(s);
      for (int t = 0; t < length; t++) {
        boolean real = t < example.length();
        assertEquals(real ? example.inputIds()[t] : 77, ids[s * length + t]);
        assertEquals(real ? example.labels()[t] : Batch.IGNORED, labels[s * length + t]);
        if (padded.weights() != null) {
          float expected = real && example.weights() == null ? 1 : 0;
          assertEquals(expected, padded.weights()[s * length + t]);
        }
      }
    }
  }

  @Property(tries = 100)
  void orderIsAFunctionOfSeedAndEpoch(
      @ForAll @IntRange(min = 1, max = 500) int size, @ForAll long seed) {
    int[] order = EpochOrder.of(size, seed, 3);
    assertArrayEquals(order, EpochOrder.of(size, seed, 3));
    assertArrayEquals(IntStream.range(0, size).toArray(), Arrays.stream(order).sorted().toArray());
    if (size > 20) { // 1 in 20! that two passes have one order
      assertFalse(Arrays.equals(order, EpochOrder.of(size, seed, 4)));
      assertFalse(Arrays.equals(order, EpochOrder.of(size, seed + 1, 3)));
    }
  }

  @Test
  void countsWhatIsCutAndLeftOut() {
    int[] ids = IntStream.range(0, 20).toArray();
    int[] late = new int[20];
    Arrays.fill(late, Batch.IGNORED);
    late[18] = 18; // beyond the capacity
    EncodedData data =
        data(
            List.of(
                new Example.Tokens(ids, null),
                new Example.Tokens(ids, late),
                new Example.Tokens(new int[] {1, 2}, null)),
            Collation.RAGGED);
    DataStatistics s = data.statistics();
    assertEquals(
        new DataStatistics(3, 2, 2, 8, 1, CAPACITY + 2, CAPACITY - 1 + 1, 2, CAPACITY, 2), s);
    assertEquals(2, data.batch(new int[] {1, 0}).sequences());
    assertThrows(InvalidArgumentException.class, () -> data.batch(new int[] {2}));
    assertThrows(InvalidArgumentException.class, () -> data.batch(new int[0]));
  }

  @Test
  void tokenIdsNeedNoTokenizer(@TempDir Path directory) throws IOException {
    Path ids = directory.resolve("ids.jsonl");
    Files.writeString(ids, "{\"input_ids\": [1, 2, 3]}\n");
    Path text = directory.resolve("text.jsonl");
    Files.writeString(text, "{\"text\": \"a\"}\n");
    Path none = directory.resolve("none.jsonl");
    Files.writeString(none, "{\"input_ids\": [1, 2], \"labels\": [1, -100]}\n");
    try (ModelEncoder encoder = ModelEncoder.of(directory, EncodingOptions.ofLength(8))) {
      assertEquals(1, EncodedData.read(ids, null, encoder, Collation.PAD).size());
      assertTrue(encoder.tokenizer().isEmpty());
      String missing =
          assertThrows(
                  CheckpointException.class,
                  () -> EncodedData.read(text, null, encoder, Collation.RAGGED))
              .getMessage();
      assertTrue(missing.contains("tokenizer.json"), missing);
      String nothing =
          assertThrows(
                  CheckpointException.class,
                  () -> EncodedData.read(none, null, encoder, Collation.RAGGED))
              .getMessage();
      assertTrue(nothing.contains("none of 1"), nothing);
    }
  }

  @Test
  void readsWithTheModelsTemplate(@TempDir Path directory) throws IOException {
    TestTokenizers.copyTo(directory);
    Path chat = directory.resolve("chat.jsonl");
    Files.writeString(
        chat,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
            + "\"content\":\"b\"}]}\n");
    Files.writeString(
        directory.resolve("chat_template.jinja"),
        "{% for m in messages %}{{ m.role[0] + m.content }}{% endfor %}"
            + "{% if add_generation_prompt %}a{% endif %}");
    try (ModelEncoder encoder = ModelEncoder.of(directory, EncodingOptions.ofLength(8))) {
      EncodedData data = EncodedData.read(chat, null, encoder, Collation.RAGGED);
      // BOS u a a b, of which b is the answer
      assertEquals(5, data.statistics().tokens());
      assertEquals(1, data.statistics().labelledTokens());
    }
    Files.writeString(directory.resolve("chat_template.jinja"), "{{ raise_exception('no') }}");
    try (ModelEncoder encoder = ModelEncoder.of(directory, EncodingOptions.ofLength(8))) {
      String refused =
          assertThrows(
                  CheckpointException.class,
                  () -> EncodedData.read(chat, null, encoder, Collation.RAGGED))
              .getMessage();
      assertTrue(refused.contains("example 1") && refused.contains("TemplateError: no"), refused);
    }
    Files.writeString(directory.resolve("chat_template.jinja"), "{% if %}");
    try (ModelEncoder encoder = ModelEncoder.of(directory, EncodingOptions.ofLength(8))) {
      assertThrows(
          CheckpointException.class, () -> EncodedData.read(chat, null, encoder, Collation.RAGGED));
    }
  }
}
