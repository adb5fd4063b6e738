package org.lorakernels.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.lorakernels.Device;
import org.lorakernels.MemoryStats;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;
import org.lorakernels.training.model.LoraSpec;

/** A thousand steps. */
class LongRunTest {
  private static final Path MODEL =
      Path.of(System.getProperty("lk.home"), "tests/src/test/resources/golden/models/llama");

  /** Batches of many lengths, the longest among the first. */
  private static final TrainingData DATA =
      new TrainingData() {
        @Override
        public int size() {
          return 64;
        }

        @Override
        public Batch batch(int[] examples) {
          int length = examples[0] == 0 ? 24 : 2 + examples[0] % 22;
          int[] ids = new Random(examples[0]).ints(length, 0, 256).toArray();
          return new Batch(ids, ids, null, new int[] {0, length});
        }
      };

  @Test
  void memoryDoesNotGrowOverAThousandSteps() {
    List<MemoryStats> stats = new ArrayList<>();
    try (Device device = Device.cpu();
        CausalLm model = CausalLm.load(device, MODEL, LoadOptions.asStored().bits(4))) {
      model.attachLora(LoraSpec.rank(4).alpha(8).dropout(0.1f));
      TrainingConfig config =
          TrainingConfig.builder().batchSize(1).maxSteps(1000).shuffle(false).build();
      TrainingResult result =
          Trainer.of(model, config)
              .data(DATA)
              .listener(
                  new TrainingListener() {
                    @Override
                    public void step(StepMetrics metrics) {
                      stats.add(device.memory());
                    }
                  })
              .train();
      assertEquals(1000, result.steps());
      assertTrue(Double.isFinite(result.lastLoss()));
    }
    // After one pass over all lengths not a byte and not an allocation is added.
    assertEquals(stats.get(64), stats.get(999));
  }
}
