package org.lorakernels.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.schedule.LearningRateScheduler;

/** What the trainer does with a model's gradients, on a model whose gradients are known. */
class TrainerTest {
  private static TrainingConfig.Builder config() {
    return TrainingConfig.builder()
        .batchSize(4)
        .maxSteps(12)
        .learningRate(0.05)
        .lrScheduler(LearningRateScheduler.COSINE)
        .warmupSteps(3)
        .weightDecay(0.1);
  }

  /** Keeps what it is told. */
  private static final class Recorder implements TrainingListener {
    final List<StepMetrics> steps = new ArrayList<>();
    final List<EvaluationMetrics> evaluations = new ArrayList<>();
    final List<String> warnings = new ArrayList<>();

    @Override
    public void step(StepMetrics metrics) {
      steps.add(metrics);
    }

    @Override
    public void evaluated(EvaluationMetrics metrics) {
      evaluations.add(metrics);
    }

    @Override
    public void warned(String message) {
      warnings.add(message);
    }
  }

  /** Losses of a run, which ends with these parameters. */
  private record Outcome(List<StepMetrics> steps, float[] table, float[] bias) {}

  private static Outcome train(TrainingConfig config, TrainingData data, boolean resume) {
    try (BigramModel model = new BigramModel(1)) {
      return train(model, config, data, resume);
    }
  }

  private static Outcome train(
      BigramModel model, TrainingConfig config, TrainingData data, boolean resume) {
    Recorder recorder = new Recorder();
    new Trainer(model, config).data(data).listener(recorder).resume(resume).train();
    return new Outcome(recorder.steps, model.value("table"), model.value("bias"));
  }

  @Test
  void oneStepIsAdamWOnTheMeanOverAllLabelledTokens() {
    TrainingData data = BigramModel.data(6, 2);
    TrainingConfig config =
        config().batchSize(2).gradientAccumulationSteps(3).maxSteps(1).warmupSteps(0).build();
    Batch all = data.batch(new int[] {0, 1, 2, 3, 4, 5});
    Outcome outcome = train(config, data, false);
    StepMetrics step = outcome.steps.get(0);
    try (BigramModel reference = new BigramModel(1)) {
      double sum = reference.lossAndGradients(all, 1f / all.labelledTokens());
      assertEquals(all.labelledTokens(), step.labelledTokens());
      assertEquals(all.tokens(), step.tokens());
      assertEquals(sum / all.labelledTokens(), step.loss(), 1e-12);
      float[] before = reference.value("table");
      float[] gradient = reference.gradient("table");
      double squares = 0;
      for (String name : reference.parameters().keySet()) {
        for (float g : reference.gradient(name)) {
          squares += (double) g * g;
        }
      }
      // Gradients are F32, added in another order.
      assertEquals(Math.sqrt(squares), step.gradNorm(), 1e-6);
      double clipping = Math.min(1, 1 / (Math.sqrt(squares) + 1e-6));
      for (int i = 0; i < before.length; i++) {
        // AdamW's first step is lr * g / (|g| + epsilon), after the decay.
        double g = gradient[i] * clipping;
        double expected = before[i] * (1 - 0.05 * 0.1) - 0.05 * g / (Math.abs(g) + 1e-8);
        assertEquals(expected, outcome.table[i], 1e-6, "table[" + i + "]");
      }
    }
  }

  @Test
  void accumulatedBatchesAreOneLargeBatch() {
    TrainingData data = BigramModel.data(24, 3);
    TrainingConfig.Builder plain = config().shuffle(false).maxSteps(3).warmupSteps(0);
    Outcome whole = train(plain.batchSize(8).build(), data, false);
    Outcome parts = train(plain.batchSize(2).gradientAccumulationSteps(4).build(), data, false);
    for (int i = 0; i < 3; i++) {
      StepMetrics expected = whole.steps.get(i);
      StepMetrics actual = parts.steps.get(i);
      assertEquals(expected.labelledTokens(), actual.labelledTokens());
      assertEquals(expected.epoch(), actual.epoch());
      assertEquals(expected.loss(), actual.loss(), 1e-6); // sums of F32 in another order
      assertEquals(expected.gradNorm(), actual.gradNorm(), 1e-6);
    }
  }

  @Test
  void normsAreBeforeClippingAndDecayLeavesBiasesAlone() {
    TrainingData data = BigramModel.data(8, 4);
    Outcome free = train(config().maxSteps(1).maxGradNorm(0).build(), data, false);
    Outcome clipped = train(config().maxSteps(1).maxGradNorm(1e-3).build(), data, false);
    assertEquals(free.steps.get(0).gradNorm(), clipped.steps.get(0).gradNorm());
    assertTrue(free.steps.get(0).gradNorm() > 1e-2);
    assertTrue(DecayGroups.decays("model.layers.0.self_attn.q_proj.lora_A.weight"));
    for (String name :
        List.of(
            "model.norm.weight",
            "model.layers.0.input_layernorm.weight",
            "model.layers.0.self_attn.q_norm.weight",
            "model.layers.0.self_attn.q_proj.bias")) {
      assertFalse(DecayGroups.decays(name), name);
    }
  }

  @Test
  void learningRatesFollowTheScheduleAndAreReportedAsUsed() {
    Outcome outcome = train(config().build(), BigramModel.data(10, 5), false);
    for (StepMetrics step : outcome.steps) {
      double factor = LearningRateScheduler.COSINE.factor(step.step() - 1, 3, 12);
      assertEquals(0.05 * factor, step.learningRate(), 1e-12);
    }
    assertEquals(0, outcome.steps.get(0).learningRate());
  }

  @Test
  void epochsTakeEveryExampleOnceInAnOrderOfTheirOwn() {
    TrainingConfig config =
        config().batchSize(3).gradientAccumulationSteps(2).maxSteps(0).epochs(2).build();
    DataOrder order = new DataOrder(10, config);
    assertEquals(2, order.stepsPerEpoch()); // batches of 3 3 | 3 1
    assertEquals(4, order.totalSteps(config));
    List<Integer> first = examples(order, 0, 2);
    List<Integer> second = examples(order, 2, 4);
    assertEquals(10, first.stream().distinct().count());
    assertEquals(10, second.stream().distinct().count());
    assertFalse(first.equals(second));
    assertEquals(first, examples(new DataOrder(10, config), 0, 2));
    DataOrder inOrder = new DataOrder(10, config.toBuilder().shuffle(false).build());
    assertEquals(List.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), examples(inOrder, 2, 4));
  }

  private static List<Integer> examples(DataOrder order, long from, long to) {
    List<Integer> all = new ArrayList<>();
    for (long step = from; step < to; step++) {
      for (int[] batch : order.batches(step)) {
        for (int example : batch) {
          all.add(example);
        }
      }
    }
    return all;
  }

  @ParameterizedTest
  @EnumSource(
      value = OptimizerType.class,
      names = {"ADAMW_TORCH", "ADAMW_BF16", "PAGED_ADAMW_8BIT"})
  void resumedRunsEndInTheSameBits(OptimizerType optimizer, @TempDir Path directory) {
    TrainingData data = BigramModel.data(10, 6);
    TrainingConfig saving =
        config().optimizer(optimizer).saveSteps(5).outputDirectory(directory).build();
    try (BigramModel uninterrupted = new BigramModel(1).withDropout();
        BigramModel interrupted = new BigramModel(1).withDropout();
        BigramModel continued = new BigramModel(1).withDropout()) {
      Outcome straight = train(uninterrupted, config().optimizer(optimizer).build(), data, false);
      Trainer trainer = new Trainer(interrupted, saving).data(data);
      trainer.listener(
          new TrainingListener() {
            @Override
            public void step(StepMetrics metrics) {
              if (metrics.step() == 7) {
                trainer.stop();
              }
            }
          });
      TrainingResult stopped = trainer.train();
      assertEquals(7, stopped.steps());
      assertFalse(stopped.complete());
      Outcome resumed = train(continued, saving, data, true);
      assertEquals(8, resumed.steps.get(0).step());
      assertArrayEquals(straight.table, resumed.table);
      assertArrayEquals(straight.bias, resumed.bias);
      assertEquals(straight.steps.get(11).loss(), resumed.steps.get(4).loss());
      assertTrue(Files.exists(directory.resolve("model.safetensors")));
    }
  }

  @Test
  void resumingWithOtherDataOrOrderIsRefused(@TempDir Path directory) {
    TrainingData data = BigramModel.data(10, 7);
    TrainingConfig saving = config().saveSteps(5).outputDirectory(directory).build();
    train(saving, data, false);
    assertRefused("the data", saving, BigramModel.data(10, 8));
    assertRefused("batch_size", saving.toBuilder().batchSize(5).build(), data);
    TrainingConfig.Builder eightBit = saving.toBuilder().optimizer(OptimizerType.ADAMW_8BIT);
    assertRefused("optim", eightBit.build(), data);
    assertRefused("seed", saving.toBuilder().seed(5).build(), data);
    assertRefused("output directory", config().build(), data);
    try (BigramModel model = new BigramModel(1)) {
      Recorder recorder = new Recorder();
      TrainingConfig other = saving.toBuilder().learningRate(0.01).maxSteps(14).build();
      new Trainer(model, other).data(data).listener(recorder).resume(true).train();
      assertEquals(
          List.of("resumed with learning_rate 0.01, where the run had 0.05"), recorder.warnings);
      assertEquals(4, recorder.steps.size());
    }
  }

  private static void assertRefused(String what, TrainingConfig config, TrainingData data) {
    InvalidArgumentException refused =
        assertThrows(InvalidArgumentException.class, () -> train(config, data, true));
    assertTrue(refused.getMessage().contains(what), refused.getMessage());
  }

  @Test
  void aGradientThatIsNotFiniteStopsTheRunAndKeepsTheStateBefore(@TempDir Path directory) {
    TrainingData data = BigramModel.data(10, 9);
    TrainingConfig saving = config().saveSteps(100).outputDirectory(directory).build();
    Outcome good = train(config().maxSteps(12).build(), data, false);
    try (BigramModel model = new BigramModel(1).poisonedFrom(6)) {
      TrainingDivergedException diverged =
          assertThrows(
              TrainingDivergedException.class, () -> new Trainer(model, saving).data(data).train());
      assertEquals(7, diverged.step());
      assertEquals("table", diverged.tensor());
      assertTrue(diverged.getMessage().contains("step 7"), diverged.getMessage());
      assertTrue(diverged.getMessage().contains("learning rate"), diverged.getMessage());
      assertFalse(model.isTraining());
    }
    Outcome resumed = train(saving, data, true);
    assertEquals(7, resumed.steps.get(0).step());
    assertArrayEquals(good.table, resumed.table);
  }

  @Test
  void evaluationsComeEverySoOftenWithoutDropout() {
    TrainingData data = BigramModel.data(10, 10);
    try (BigramModel model = new BigramModel(1)) {
      Recorder recorder = new Recorder();
      Trainer trainer =
          new Trainer(model, config().evalSteps(5).build())
              .data(data)
              .evaluationData(BigramModel.data(5, 11))
              .listener(recorder);
      EvaluationMetrics before = trainer.evaluate();
      TrainingResult result = trainer.train();
      assertEquals(
          List.of(5L, 10L, 12L), recorder.evaluations.stream().map(e -> e.step()).toList());
      assertEquals(result.evaluation(), recorder.evaluations.get(2));
      assertEquals(Math.exp(before.loss()), before.perplexity());
      assertEquals(trainer.evaluate().loss(), result.evaluation().loss());
    }
  }

  @Test
  void aStepWithoutLabelsChangesNothing() {
    TrainingData data = BigramModel.data(new int[][] {{3}, {1, 2, 3}});
    TrainingConfig config = config().batchSize(1).maxSteps(1).shuffle(false).warmupSteps(0).build();
    try (BigramModel model = new BigramModel(1)) {
      float[] before = model.value("table");
      TrainingResult result = new Trainer(model, config).data(data).train();
      assertArrayEquals(before, model.value("table"));
      assertTrue(Double.isNaN(result.loss()));
    }
  }

  @Test
  void valuesOutOfRangeAreNamed() {
    assertInvalid("batch size", TrainingConfig.builder().batchSize(0));
    assertInvalid("epochs", TrainingConfig.builder().epochs(Double.NaN));
    assertInvalid("warm-up ratio", TrainingConfig.builder().warmupRatio(1.5));
    assertInvalid("learning rate", TrainingConfig.builder().learningRate(-1));
    InvalidArgumentException empty =
        assertThrows(
            InvalidArgumentException.class,
            () -> train(config().build(), BigramModel.data(0, 1), false));
    assertTrue(empty.getMessage().contains("at least one example"), empty.getMessage());
  }

  private static void assertInvalid(String name, TrainingConfig.Builder builder) {
    InvalidArgumentException invalid = assertThrows(InvalidArgumentException.class, builder::build);
    assertTrue(invalid.getMessage().contains(name), invalid.getMessage());
  }
}
