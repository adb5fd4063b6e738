package org.lorakernels.training.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.MemoryStats;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.training.OptimizerType;
import org.lorakernels.training.Trainer;
import org.lorakernels.training.TrainingConfig;
import org.lorakernels.training.TrainingData;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;
import org.lorakernels.training.model.LoraSpec;
import org.lorakernels.training.model.RandomCheckpoint;

/** What the planner says against what a run of the same settings takes. */
class MemoryPlannerTest {
  private static final int VOCABULARY = 3000;

  @TempDir private static Path directory;
  private static Path model;

  @BeforeAll
  static void model() throws IOException {
    Path description = Files.createDirectories(directory.resolve("description"));
    Files.writeString(
        description.resolve("config.json"),
        """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 3000,
         "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4,
         "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32,
         "max_position_embeddings": 512, "hidden_act": "silu", "rms_norm_eps": 1e-5,
         "rope_theta": 10000.0, "tie_word_embeddings": true}
        """);
    model = directory.resolve("model");
    RandomCheckpoint.write(description, model, false, 1);
  }

  private static TrainingData data(int length) {
    return new TrainingData() {
      @Override
      public int size() {
        return 16;
      }

      @Override
      public Batch batch(int[] examples) {
        int[] ids = new Random(1).ints(examples.length * length, 0, VOCABULARY).toArray();
        int[] offsets = new int[examples.length + 1];
        for (int i = 0; i < offsets.length; i++) {
          offsets[i] = i * length;
        }
        return new Batch(ids, ids, null, offsets);
      }
    };
  }

  /** Bytes on the device at the worst moment of three steps; what stays in the file included. */
  private static long measured(MemorySettings settings) {
    try (Device device = Device.cpu();
        CausalLm lm = CausalLm.load(device, model, settings.load())) {
      if (settings.lora() == null) {
        lm.trainDense(name -> true);
      } else {
        lm.attachLora(settings.lora());
      }
      lm.checkpointing(settings.checkpointing());
      TrainingConfig config =
          TrainingConfig.builder()
              .batchSize(settings.batchSize())
              .optimizer(settings.optimizer())
              .maxSteps(3)
              .build();
      TrainingData data = data(settings.maxLength());
      Trainer.of(lm, config).data(data).evaluationData(settings.evaluates() ? data : null).train();
      MemoryStats stats = device.memory();
      return stats.allocatedPeakBytes() + stats.workspacePeakBytes() + mapped(settings);
    }
  }

  /** Weights that are not copied out of the file. */
  private static long mapped(MemorySettings settings) {
    if (settings.lora() == null || settings.load().bits().orElse(0) == 16) {
      return 0;
    }
    boolean fourBits = settings.load().bits().orElse(0) == 4;
    try (SafetensorsStore store = SafetensorsStore.open(model)) {
      return store.names().stream()
          .filter(name -> !fourBits || !name.contains("_proj"))
          .mapToLong(name -> store.info(name).byteSize())
          .sum();
    }
  }

  @Test
  void plansAreWithinTenPercentOfWhatRunsTake() {
    LoadOptions stored = LoadOptions.asStored();
    LoraSpec lora = LoraSpec.rank(16).alpha(32);
    for (MemorySettings settings :
        List.of(
            new MemorySettings(stored, lora, 4, 128, false, false, false),
            new MemorySettings(stored.bits(4), lora, 1, 256, false, false, false),
            new MemorySettings(
                stored.bits(4).doubleQuantized(true), lora, 4, 128, true, false, false),
            new MemorySettings(
                stored.bits(16), lora.targets("q_proj"), 2, 200, false, false, false),
            new MemorySettings(
                stored.computeDtype(DType.BF16), lora.layers(2, 4), 4, 128, false, false, false),
            new MemorySettings(stored, lora.dora(true), 2, 100, true, false, false),
            new MemorySettings(stored, lora, 4, 128, false, true, false),
            new MemorySettings(stored, null, 4, 128, false, false, false)
                .withOptimizer(OptimizerType.ADAMW_8BIT),
            new MemorySettings(stored, null, 4, 128, false, false, false))) {
      long planned = new MemoryPlanner(model).plan(settings).device();
      long actual = measured(settings);
      // The bound: what a plan is for is to tell whether a run fits.
      assertEquals(1, (double) planned / actual, 0.1, settings + ": " + planned + " " + actual);
    }
  }

  @Test
  void optimisersTakeWhatTheirStatesTake() {
    MemoryPlanner planner = new MemoryPlanner(model);
    MemorySettings full =
        new MemorySettings(LoadOptions.asStored(), null, 1, 64, false, false, false);
    long f32 = planner.plan(full).optimizer();
    long bf16 = planner.plan(full.withOptimizer(OptimizerType.ADAMW_BF16)).optimizer();
    long eightBit = planner.plan(full.withOptimizer(OptimizerType.ADAMW_8BIT)).optimizer();
    assertEquals(f32, 2 * bf16);
    // 2 bytes an element and 8 a block of 256; norms, below 4096 elements, stay F32
    assertEquals(0.25 + 1 / 256.0, (double) eightBit / f32, 2e-3);
    long gib = 1L << 30;
    assertEquals(gib, OptimizerType.PAGED_ADAMW_32BIT.budget(4 * gib));
    assertEquals(64 << 20, OptimizerType.PAGED_ADAMW_8BIT.budget(100 << 20));
    assertEquals(1 << 20, OptimizerType.PAGED_ADAMW_8BIT.budget(1 << 20));
    assertEquals(4 * gib, OptimizerType.ADAMW_8BIT.budget(4 * gib));
    assertEquals(
        OptimizerType.PAGED_ADAMW_8BIT, OptimizerType.of("paged_adamw_8bit"), "by its name");
    InvalidArgumentException unknown =
        assertThrows(InvalidArgumentException.class, () -> OptimizerType.of("sgd"));
    assertTrue(unknown.getMessage().contains("paged_adamw_32bit"), unknown.getMessage());
  }

  @Test
  void settingsThatWouldFitAreNamedAndDo() {
    MemoryPlanner planner = new MemoryPlanner(model);
    MemorySettings settings =
        new MemorySettings(LoadOptions.asStored(), LoraSpec.rank(16), 8, 512, false, false, false);
    long needed = planner.plan(settings).total();
    assertEquals(needed, planner.require(settings, needed).total());
    long available = needed - (20 << 20);
    DoesNotFitException refused =
        assertThrows(DoesNotFitException.class, () -> planner.require(settings, available));
    assertTrue(refused.getMessage().contains("gradient checkpointing"), refused.getMessage());
    List<Suggestion> suggestions = planner.suggestions(settings, available);
    assertEquals("gradient checkpointing", suggestions.get(0).change());
    for (Suggestion suggestion : suggestions) {
      assertTrue(suggestion.plan().total() <= available, suggestion.change());
      assertEquals(suggestion.plan(), planner.plan(suggestion.settings()), suggestion.change());
    }
    DoesNotFitException never =
        assertThrows(DoesNotFitException.class, () -> planner.require(settings, 1 << 20));
    assertTrue(never.getMessage().contains("no setting makes it fit"), never.getMessage());
  }
}
