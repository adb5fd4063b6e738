package org.lorakernels.training.generation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernelsException;

class SamplerTest {
  private static final int DRAWS = 50_000;
  private static final float[] LOGITS = normal(60, 2.0);

  private static float[] normal(int count, double scale) {
    Random random = new Random(7);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) (scale * random.nextGaussian());
    }
    return values;
  }

  @Test
  void greedyTakesTheHighestScoreAndTheLowestIdOfEquals() {
    Sampler greedy = new Sampler(Sampling.greedy());
    assertEquals(2, greedy.next(new float[] {1, -3, 5, 5, 0}, null));
    assertEquals(0, greedy.next(new float[] {4, 4, 4}, null));
    float none = Float.NEGATIVE_INFINITY;
    assertEquals(1, greedy.next(new float[] {none, -1e30f, none}, null));
  }

  @Test
  void oneCandidateIsGreedy() {
    int best = new Sampler(Sampling.greedy()).next(LOGITS, null);
    Sampling hot = Sampling.temperature(5, 1);
    for (Sampling one :
        List.of(hot.topK(1), hot.topP(1e-9), hot.minP(1), Sampling.temperature(1e-6, 3))) {
      Sampler sampler = new Sampler(one);
      for (int i = 0; i < 200; i++) {
        assertEquals(best, sampler.next(LOGITS, null), one.toString());
      }
    }
    float[] equal = {1, 7, 7, 7};
    assertEquals(1, new Sampler(hot.topK(1)).next(equal, null));
    assertEquals(1, new Sampler(hot.topP(0.01)).next(equal, null));
  }

  @Test
  void drawsFollowTheDistribution() {
    Sampling plain = Sampling.temperature(1, 11);
    for (Sampling sampling :
        List.of(
            plain,
            Sampling.temperature(0.7, 12),
            Sampling.temperature(2.5, 13),
            plain.topK(10),
            plain.topK(1000),
            plain.topP(0.8),
            plain.minP(0.05),
            Sampling.temperature(1.7, 14).topK(25).topP(0.9).minP(0.02),
            plain.repetitionPenalty(1.8),
            plain.topP(0.95).repetitionPenalty(0.6))) {
      checkDistribution(sampling);
    }
  }

  private static void checkDistribution(Sampling sampling) {
    BitSet occurred = new BitSet();
    IntStream.of(0, 3, 17, 40, 59).forEach(occurred::set);
    double[] expected = distribution(sampling, occurred);
    long[] counts = new long[expected.length];
    Sampler sampler = new Sampler(sampling);
    for (int i = 0; i < DRAWS; i++) {
      counts[sampler.next(LOGITS, occurred)]++;
    }
    double chiSquare = 0;
    int cells = 0;
    double restExpected = 0;
    double restCounted = 0;
    for (int id = 0; id < counts.length; id++) {
      double mean = expected[id] * DRAWS;
      if (mean == 0) {
        assertEquals(0, counts[id], sampling + " drew the excluded token " + id);
      } else if (mean < 10) { // Pearson's approximation needs several draws in a cell
        restExpected += mean;
        restCounted += counts[id];
      } else {
        chiSquare += Math.pow(counts[id] - mean, 2) / mean;
        cells++;
      }
    }
    if (restExpected >= 10) {
      chiSquare += Math.pow(restCounted - restExpected, 2) / restExpected;
      cells++;
    }
    // Wilson and Hilferty: a statistic beyond 4.75 standard deviations has a chance of 1e-6
    double freedom = cells - 1;
    double bound =
        freedom * Math.pow(1 - 2 / (9 * freedom) + 4.75 * Math.sqrt(2 / (9 * freedom)), 3);
    assertTrue(cells > 4 && chiSquare < bound, sampling + ": " + chiSquare + " of " + bound);
  }

  /** The definition in {@link Sampling}, by sorting. */
  private static double[] distribution(Sampling sampling, BitSet occurred) {
    int n = LOGITS.length;
    double[] scores = new double[n];
    for (int id = 0; id < n; id++) {
      double penalty = occurred.get(id) ? sampling.repetitionPenalty() : 1;
      scores[id] = LOGITS[id] > 0 ? LOGITS[id] / penalty : LOGITS[id] * penalty;
      scores[id] /= sampling.temperature();
    }
    Integer[] order = IntStream.range(0, n).boxed().toArray(Integer[]::new);
    Arrays.sort(order, Comparator.comparingDouble(id -> -scores[id]));
    int kept = sampling.topK() == 0 ? n : Math.min(n, sampling.topK());
    double[] sorted = softmax(Arrays.stream(order).mapToDouble(id -> scores[id]).toArray(), kept);
    double sum = 0;
    for (int i = 0; i < kept; i++) {
      if (sum >= sampling.topP()) {
        kept = i;
      } else {
        sum += sorted[i];
      }
    }
    while (sorted[kept - 1] < sampling.minP() * sorted[0]) {
      kept--;
    }
    sorted = softmax(Arrays.stream(order).mapToDouble(id -> scores[id]).toArray(), kept);
    double[] probabilities = new double[n];
    for (int i = 0; i < n; i++) {
      probabilities[order[i]] = sorted[i];
    }
    return probabilities;
  }

  /** Of the first few; 0 for the others. */
  private static double[] softmax(double[] scores, int count) {
    DoubleUnaryOperator exp = score -> Math.exp(score - scores[0]);
    double sum = Arrays.stream(scores, 0, count).map(exp).sum();
    return IntStream.range(0, scores.length)
        .mapToDouble(i -> i < count ? exp.applyAsDouble(scores[i]) / sum : 0)
        .toArray();
  }

  @Test
  void theSeedDecides() {
    assertEquals(draws(5), draws(5));
    assertNotEquals(draws(5), draws(6));
    // neighbouring seeds are unrelated: their first draws are spread like any others
    double mean =
        IntStream.range(0, 4000)
            .mapToDouble(seed -> Philox.uniform(seed, 0))
            .average()
            .getAsDouble();
    assertEquals(0.5, mean, 0.02); // 4 standard deviations: 4 * sqrt(1 / 12 / 4000)
  }

  private static List<Integer> draws(long seed) {
    Sampler sampler = new Sampler(Sampling.temperature(1, seed));
    return IntStream.range(0, 50).mapToObj(i -> sampler.next(LOGITS, null)).toList();
  }

  /** Of Random123's known answers: philox4x32 10, counter 0, key 0 gives 6627e8d5 e169c58d ... */
  @Test
  void philoxIsPhilox() {
    double expected = ((0x6627e8d5L >>> 5) * 0x1p26 + (0xe169c58dL >>> 6)) / 0x1p53;
    assertEquals(expected, Philox.uniform(0, 0));
  }

  @Test
  void faultsAreNamed() {
    Sampler sampler = new Sampler(Sampling.temperature(1, 1));
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      String message =
          assertThrows(
                  LoraKernelsException.class, () -> sampler.next(new float[] {0, 1, bad}, null))
              .getMessage();
      assertTrue(message.contains("token 2 is " + bad), message);
    }
    float none = Float.NEGATIVE_INFINITY;
    assertThrows(LoraKernelsException.class, () -> sampler.next(new float[] {none, none}, null));
    Sampling plain = Sampling.greedy();
    for (Runnable invalid :
        List.<Runnable>of(
            () -> Sampling.temperature(-1, 0),
            () -> Sampling.temperature(Double.NaN, 0),
            () -> plain.topK(-1),
            () -> plain.topP(0),
            () -> plain.topP(1.1),
            () -> plain.minP(-0.1),
            () -> plain.repetitionPenalty(0))) {
      assertThrows(InvalidArgumentException.class, invalid::run);
    }
  }
}
