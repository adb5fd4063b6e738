package org.lorakernels.training.generation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.data.TestTokenizers;
import org.lorakernels.training.data.Tokenizer;

/** With a model that says what it is told to. */
class TextGeneratorTest {
  private static final Tokenizer TOKENIZER = TestTokenizers.open();
  private static final int CONTEXT = 64;

  @AfterAll
  static void close() {
    TOKENIZER.close();
  }

  /** Says the ids of a script, each with a score of 1, and then EOS for ever. */
  private static final class Script implements DecoderSession {
    private final int[] ids;
    private final List<Integer> seen = new ArrayList<>();
    private int said;

    Script(int[] ids) {
      this.ids = ids;
    }

    @Override
    public float[] append(int[] appended) {
      Arrays.stream(appended).forEach(seen::add);
      float[] logits = new float[TOKENIZER.vocabularySize()];
      logits[said < ids.length ? ids[said++] : TestTokenizers.EOS] = 1;
      return logits;
    }

    @Override
    public void close() {}
  }

  private static Generation say(String text, GenerationConfig config, List<String> pieces) {
    return generator(new Script(TOKENIZER.encode(text, false)))
        .generate(TOKENIZER.encodePrompt("hello"), config, pieces::add);
  }

  private static TextGenerator generator(Script script) {
    return new TextGenerator(
        capacity -> script,
        CONTEXT,
        TOKENIZER.vocabularySize(),
        Set.of(TestTokenizers.EOS),
        TOKENIZER);
  }

  @Test
  void everyTokenGoesThroughTheModelOnceAndTheEndIsNoText() {
    int[] ids = TOKENIZER.encode("hello wor the", false);
    Script script = new Script(ids);
    int[] prompt = TOKENIZER.encodePrompt("the");
    Generation generation =
        generator(script).generate(prompt, GenerationConfig.greedy(), GenerationListener.NONE);
    assertEquals("hello wor the", generation.text());
    assertEquals(FinishReason.END_OF_SEQUENCE, generation.finishReason());
    int[] expected = Arrays.copyOf(ids, ids.length + 1);
    expected[ids.length] = TestTokenizers.EOS;
    assertArrayEquals(expected, generation.ids());
    List<Integer> seen = new ArrayList<>(Arrays.stream(prompt).boxed().toList());
    Arrays.stream(ids).forEach(seen::add);
    assertEquals(seen, script.seen);
  }

  @Test
  void charactersComeWhole() {
    String text = "h\u00e9llo \u20ac \uD83D\uDE00 \uD83D\uDE00\u00fc!";
    List<String> pieces = new ArrayList<>();
    Generation generation = say(text, GenerationConfig.greedy(), pieces);
    assertEquals(text, generation.text());
    assertEquals(text, String.join("", pieces));
    for (String piece : pieces) { // no piece ends inside a character
      assertEquals(
          piece, new String(piece.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8));
    }
    assertTrue(pieces.size() > 8, pieces.toString());
  }

  @Test
  void bytesThatAreNoCharacterAreReplacedAtTheEnd() {
    int[] euro = TOKENIZER.encode("\u20ac", false);
    assertEquals(3, euro.length);
    Script script = new Script(new int[] {TOKENIZER.encode("a", false)[0], euro[0], euro[1]});
    Generation generation =
        generator(script)
            .generate(new int[] {1}, GenerationConfig.greedy(), GenerationListener.NONE);
    assertEquals("a\uFFFD", generation.text());
  }

  @Test
  void stopStringsEndAcrossTokensAndNoPartOfThemIsGivenOut() {
    for (String stop : new String[] {"xyz", "o the", "\u20ac", "wor t"}) {
      List<String> pieces = new ArrayList<>();
      String text = "hello xxy wor the xyz \u20ac end";
      Generation generation = say(text, GenerationConfig.greedy().stopStrings(stop), pieces);
      boolean stops = text.contains(stop);
      String expected = stops ? text.substring(0, text.indexOf(stop)) : text;
      assertEquals(expected, generation.text());
      assertEquals(expected, String.join("", pieces));
      assertEquals(
          stops ? FinishReason.STOP_STRING : FinishReason.END_OF_SEQUENCE,
          generation.finishReason());
    }
  }

  @Test
  void endsByNumberContextListenerAndOwnIds() {
    String text = "abcdefgh".repeat(20);
    Generation five = say(text, GenerationConfig.greedy().maxNewTokens(5), new ArrayList<>());
    assertEquals("abcde", five.text());
    assertEquals(FinishReason.MAX_NEW_TOKENS, five.finishReason());
    Generation full = say(text, GenerationConfig.greedy().maxNewTokens(9999), new ArrayList<>());
    assertEquals(FinishReason.CONTEXT_FULL, full.finishReason());
    assertEquals(CONTEXT, full.promptIds().length + full.ids().length);
    int d = TOKENIZER.encode("d", false)[0];
    Generation own = say(text, GenerationConfig.greedy().endIds(Set.of(d)), new ArrayList<>());
    assertEquals("abc", own.text());
    Generation cancelled =
        generator(new Script(TOKENIZER.encode(text, false)))
            .generate(
                new int[] {1},
                GenerationConfig.greedy(),
                new GenerationListener() {
                  private String heard = "";

                  @Override
                  public void text(String piece) {
                    heard += piece;
                  }

                  @Override
                  public boolean cancelled() {
                    return heard.length() >= 3;
                  }
                });
    assertEquals("abc", cancelled.text());
    assertEquals(FinishReason.CANCELLED, cancelled.finishReason());
  }

  @Test
  void withoutATokenizerThereAreIds() {
    TextGenerator ids =
        new TextGenerator(n -> new Script(new int[] {4, 9}), 8, 10, Set.of(9), null);
    Generation generation =
        ids.generate(new int[] {1, 2}, GenerationConfig.greedy(), GenerationListener.NONE);
    assertArrayEquals(new int[] {4, 9}, generation.ids());
    assertNull(generation.text());
    GenerationConfig stops = GenerationConfig.greedy().stopStrings("x");
    for (Runnable invalid :
        List.<Runnable>of(
            () -> ids.generate(new int[] {1}, stops, GenerationListener.NONE),
            () -> ids.generate(new int[0], GenerationConfig.greedy(), GenerationListener.NONE),
            () -> ids.generate(new int[] {10}, GenerationConfig.greedy(), GenerationListener.NONE),
            () -> ids.generate(new int[8], GenerationConfig.greedy(), GenerationListener.NONE),
            () -> GenerationConfig.greedy().stopStrings(""),
            () -> GenerationConfig.greedy().maxNewTokens(0))) {
      assertThrows(InvalidArgumentException.class, invalid::run);
    }
  }
}
