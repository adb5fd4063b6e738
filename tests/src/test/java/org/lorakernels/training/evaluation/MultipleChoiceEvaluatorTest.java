package org.lorakernels.training.evaluation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.data.TestTokenizers;
import org.lorakernels.training.data.Tokenizer;
import org.lorakernels.training.data.Tokenizers;

class MultipleChoiceEvaluatorTest {
  private static final Tokenizer TOKENIZER = TestTokenizers.open();
  private static final int BOS = TestTokenizers.BOS;

  @AfterAll
  static void close() {
    TOKENIZER.close();
  }

  private static int[] ids(String text) {
    return TOKENIZER.encode(text, false);
  }

  private static ChoiceEncoder.Choice encode(int maxLength, String context, String text) {
    Question question = new Question(context, "", List.of(text, "a"), 0);
    return new ChoiceEncoder(TOKENIZER, maxLength).encode(question).get(0);
  }

  @Test
  void whatFollowsTheContextIsScored() {
    ChoiceEncoder.Choice choice = encode(99, "hello", " the");
    assertArrayEquals(TOKENIZER.encode("hello the", true), choice.ids());
    assertEquals(2, choice.from()); // BOS, hello
    // " wor" is one token: of the context " w" nothing is left, and the whole token is scored
    ChoiceEncoder.Choice across = encode(99, "hello w", "or");
    assertArrayEquals(TOKENIZER.encode("hello wor", true), across.ids());
    assertEquals(2, across.from());
    // a context that ends in a blank: the blank belongs to the token of the choice
    ChoiceEncoder.Choice blank = encode(99, "hello ", "the");
    assertEquals(2, blank.from());
    assertEquals(3, blank.ids().length);
  }

  @Test
  void withoutContextTheFirstTokenFollowsBos(@TempDir Path directory) throws IOException {
    ChoiceEncoder.Choice choice = encode(99, "", "hello");
    assertArrayEquals(new int[] {BOS, ids("hello")[0]}, choice.ids());
    assertEquals(1, choice.from());
    TestTokenizers.copyTo(directory);
    Path config = directory.resolve("tokenizer_config.json");
    Files.writeString(
        config, Files.readString(config).replaceFirst("\\{", "{\"add_bos_token\": false,"));
    try (Tokenizer bare = Tokenizers.load(directory)) {
      Question question = new Question("", "", List.of("hello", "the"), 0);
      ChoiceEncoder.Choice added = new ChoiceEncoder(bare, 99).encode(question).get(0);
      assertArrayEquals(choice.ids(), added.ids());
      assertEquals(1, added.from());
    }
  }

  @Test
  void longContextsLoseTheirBeginningButBos() {
    ChoiceEncoder encoder = new ChoiceEncoder(TOKENIZER, 4);
    Question question = new Question("abcdef", "", List.of("gh", "ghi"), 0);
    List<ChoiceEncoder.Choice> choices = encoder.encode(question);
    assertArrayEquals(new int[] {BOS, ids("f")[0], ids("g")[0], ids("h")[0]}, choices.get(0).ids());
    assertEquals(2, choices.get(0).from());
    assertEquals(1, choices.get(1).from());
    assertEquals(2, encoder.truncated());
    // what is too long by itself keeps BOS, and as much of its beginning as fits
    ChoiceEncoder.Choice whole = encode(4, "abc", "defgh");
    assertArrayEquals(new int[] {BOS, ids("d")[0], ids("e")[0], ids("f")[0]}, whole.ids());
    assertEquals(1, whole.from());
  }

  /** The loss of a token is 1, of a capital letter 3. */
  private static float[] capitalsAreRare(Batch batch) {
    float[] losses = new float[batch.tokens()];
    int[] labels = batch.labels();
    for (int i = 0; i < losses.length; i++) {
      boolean capital = labels[i] >= 0 && TOKENIZER.tokenText(labels[i]).matches("[A-Z].*");
      losses[i] = labels[i] == Batch.IGNORED ? 0 : capital ? 3 : 1;
    }
    return losses;
  }

  private static MultipleChoiceResult ask(Normalization by, Question... questions) {
    return new MultipleChoiceEvaluator(MultipleChoiceEvaluatorTest::capitalsAreRare, TOKENIZER, 99)
        .batchSize(3)
        .normalization(by)
        .evaluate(List.of(questions));
  }

  @Test
  void theMostProbableChoiceIsTheAnswer() {
    Question shortWins = new Question("x", "", List.of("ab", "Z", "abcd"), 0);
    Question lengthMatters = new Question("x", "", List.of("Z", "abcdZ"), 1);
    MultipleChoiceResult result = ask(Normalization.TOKENS, shortWins, lengthMatters);
    assertArrayEquals(new double[] {-2, -3, -4}, result.answers().get(0).logLikelihoods());
    assertArrayEquals(new double[] {-1, -3, -1}, result.answers().get(0).normalized());
    assertArrayEquals(new double[] {-3, -7}, result.answers().get(1).logLikelihoods());
    assertEquals(0.5, result.accuracy());
    assertEquals(1.0, result.normalizedAccuracy());
    assertEquals(0.5, result.standardError()); // of {1, 0}: sqrt(0.25 / 1)
    assertEquals(0, result.normalizedStandardError());
  }

  @Test
  void lengthsAreTokensCharactersOrBytes() {
    Question question = new Question("x", " ", List.of("the", "\u00e9"), 0); // " the" is a token
    double[][] expected = {{-1, -1}, {-1 / 3.0, -3}, {-1 / 3.0, -1.5}};
    for (Normalization by : Normalization.values()) {
      assertArrayEquals(
          expected[by.ordinal()], ask(by, question).answers().get(0).normalized(), by.toString());
    }
  }

  @Test
  void tiesGoToTheFirstButNeverToASentence() {
    Question first = new Question("x", "", List.of("a", "b"), 0);
    Question second = new Question("x", "", List.of("a", "b"), 1);
    Question sentences = new Question("", "", List.of("a", "b"), 0);
    List<MultipleChoiceResult.Answer> answers =
        ask(Normalization.TOKENS, first, second, sentences).answers();
    assertTrue(answers.get(0).correct());
    assertFalse(answers.get(1).correct());
    assertFalse(answers.get(2).correct());
  }

  @Test
  void progressReachesTheEnd() {
    int[] last = new int[2];
    new MultipleChoiceEvaluator(MultipleChoiceEvaluatorTest::capitalsAreRare, TOKENIZER, 99)
        .listener(
            (done, total) -> {
              last[0] = done;
              last[1] = total;
            })
        .evaluate(List.of(new Question("x", "", List.of("a", "b", "c"), 1)));
    assertTrue(Arrays.equals(new int[] {3, 3}, last));
  }
}
