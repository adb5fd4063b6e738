package org.lorakernels.training.evaluation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.data.EncodedExample;

class LossEvaluatorTest {
  private static final int BOS = 1;

  /** The loss of a token is its label: easy to sum by hand. */
  private static float[] labelsAsLosses(Batch batch) {
    float[] losses = new float[batch.tokens()];
    int[] labels = batch.labels();
    int[] offsets = batch.offsets();
    for (int s = 0; s < batch.sequences(); s++) {
      for (int i = offsets[s] + 1; i < offsets[s + 1]; i++) {
        losses[i] = labels[i] == Batch.IGNORED ? 0 : labels[i];
      }
    }
    return losses;
  }

  private static EncodedExample row(int... ids) {
    return new EncodedExample(ids, ids.clone(), null);
  }

  @Test
  void theMeanIsOverAllTokensWhateverTheBatches() {
    List<EncodedExample> rows =
        List.of(
            row(9, 2, 4), // the first token of a row is not predicted
            row(9, 3),
            new EncodedExample(new int[] {9, 9, 9}, new int[] {-100, -100, 6}, null),
            row(8));
    for (int batchSize = 1; batchSize < 6; batchSize++) {
      LossResult result =
          new LossEvaluator(LossEvaluatorTest::labelsAsLosses, 10)
              .batchSize(batchSize)
              .evaluate(rows);
      assertEquals((2 + 4 + 3 + 6) / 4.0, result.loss());
      assertEquals(new LossResult(result.loss(), 4, 4, 0, 0), result);
      assertEquals(Math.exp(3.75), result.perplexity());
    }
  }

  @Test
  void weightsCountAsTheyAre() {
    EncodedExample weighted =
        new EncodedExample(
            new int[] {9, 2, 3, 4}, new int[] {9, 2, 3, 4}, new float[] {1, 0.5f, 0, 1.5f});
    LossResult result =
        new LossEvaluator(LossEvaluatorTest::labelsAsLosses, 10).evaluate(List.of(weighted));
    assertEquals((0.5 * 2 + 1.5 * 4) / 2, result.loss());
    assertEquals(2, result.tokens());
  }

  @Test
  void cutRowsAreCounted() {
    LossResult result =
        new LossEvaluator(LossEvaluatorTest::labelsAsLosses, 3)
            .evaluate(List.of(row(9, 2, 4, 100, 100), row(9, 3)));
    assertEquals(new LossResult(3, 3, 2, 1, 2), result);
  }

  /** Every token once, in windows of the right length that begin with BOS. */
  @Property(tries = 500)
  void windowsScoreEveryTokenOnce(
      @ForAll @IntRange(min = 2, max = 40) int length,
      @ForAll @IntRange(min = 2, max = 9) int maxLength,
      @ForAll @IntRange(min = 1, max = 8) int anyStride,
      @ForAll boolean bos) {
    int stride = Math.min(anyStride, maxLength - 1);
    int[] ids = IntStream.range(0, length).map(i -> 100 + i).toArray();
    ids[0] = bos ? BOS : ids[0];
    List<EncodedExample> windows = new LongRows(maxLength, stride, BOS).fit(row(ids));
    List<Integer> scored = new ArrayList<>();
    for (EncodedExample window : windows) {
      assertTrue(window.inputIds().length <= maxLength);
      assertEquals(ids[0] == BOS, window.inputIds()[0] == BOS);
      for (int i = 1; i < window.inputIds().length; i++) {
        if (i > 1 || !bos) { // apart from BOS a window is a piece of the row
          assertEquals(window.inputIds()[i - 1] + 1, window.inputIds()[i]);
        }
        if (window.labels()[i] != Batch.IGNORED) {
          scored.add(window.labels()[i]);
        }
      }
    }
    assertEquals(Arrays.stream(ids).skip(1).boxed().toList(), scored);
  }

  @Test
  void windowsOfTheDocumentation() {
    List<EncodedExample> windows = new LongRows(4, 2, BOS).fit(row(BOS, 2, 3, 4, 5, 6));
    assertEquals(2, windows.size());
    assertArrayEquals(new int[] {BOS, 4, 5, 6}, windows.get(1).inputIds());
    assertArrayEquals(new int[] {-100, -100, 5, 6}, windows.get(1).labels());
  }

  @Test
  void faultsAreNamed() {
    LossEvaluator evaluator = new LossEvaluator(LossEvaluatorTest::labelsAsLosses, 4);
    assertThrows(InvalidArgumentException.class, () -> evaluator.evaluate(List.of(row(5))));
    assertThrows(InvalidArgumentException.class, () -> evaluator.batchSize(0));
    assertThrows(InvalidArgumentException.class, () -> evaluator.windows(4, null));
    LossEvaluator broken =
        new LossEvaluator(
            batch -> {
              float[] losses = labelsAsLosses(batch);
              losses[3] = Float.NaN;
              return losses;
            },
            4);
    String message =
        assertThrows(
                LoraKernelsException.class, () -> broken.evaluate(List.of(row(1, 2), row(3, 4))))
            .getMessage();
    assertTrue(message.contains("token 1 of sequence 2 is NaN"), message);
  }
}
