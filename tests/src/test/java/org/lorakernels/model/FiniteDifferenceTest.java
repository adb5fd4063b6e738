package org.lorakernels.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.Device;
import org.lorakernels.Parameter;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;
import org.lorakernels.training.model.LoraSpec;

/** Gradients of whole models against central differences of their losses. */
class FiniteDifferenceTest {
  /**
   * Below it a difference quotient is too noisy for a direction: biases of keys, which shift all
   * scores of a query alike but for the rotation. Quotients are off by some 1e-4 each.
   */
  private static final double SMALL = 0.03;

  private final Device device = Device.cpu();

  @AfterEach
  void nothingLeaks() {
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 8, 64, 256})
  void everyTargetModuleOnFourBitWeights(int length) {
    try (CausalLm model = GradientTable.model(device)) {
      assertRows(GradientTable.of(model, length, 24), 14, length == 1);
    }
  }

  /** PEFT's own rounding is that of F32 sums in another order. */
  @ParameterizedTest
  @ValueSource(ints = {1, 8, 64, 256})
  void everyTargetModuleAgainstPeft(int length) {
    try (CausalLm model = GradientTable.model(device)) {
      List<GradientTable.Row> rows = GradientTable.ofPeft(model, length);
      assertRows(rows, 14, length == 1);
      for (GradientTable.Row row : rows) {
        assertEquals(0, row.distance(), 1e-5 * row.differenceNorm() + 1e-6, row.toString());
      }
    }
  }

  /** The first token sees itself alone: its queries and keys have no gradient. */
  private static void assertRows(List<GradientTable.Row> rows, int count, boolean first) {
    assertEquals(count, rows.size());
    for (GradientTable.Row row : rows) {
      boolean vanishes =
          first && (row.tensor().startsWith("q_proj") || row.tensor().startsWith("k_proj"));
      if (vanishes) {
        assertEquals(0, row.gradientNorm(), 1e-6, row.toString());
        assertEquals(0, row.differenceNorm(), 1e-3, row.toString());
      } else if (row.gradientNorm() < SMALL) {
        assertEquals(0, row.distance(), 5e-4, row.toString());
      } else {
        assertTrue(row.cosine() > 0.9999, row.toString());
        assertEquals(1, row.ratio(), 0.01, row.toString());
      }
    }
  }

  /** Caps, windows, norms after sublayers, tied head, GeGLU, norms of heads, rsLoRA; dropout. */
  @ParameterizedTest
  @ValueSource(strings = {"models/gemma2", "models/mistral", "models/qwen2", "extra/qwen3"})
  void otherArchitecturesWithDropout(String name) {
    try (CausalLm model = load(name)) {
      model.attachLora(LoraSpec.rank(3).alpha(6).dropout(0.25f).rsLora(true).seed(5));
      randomise(model, ".lora_B.weight", 0.1f);
      model.training(true);
      model.dropoutStep(77);
      assertRows(GradientTable.of(model, 20, 12), 14, false);
    }
  }

  /** Norms are constants in the gradients of A and B, so only magnitudes can be compared. */
  @ParameterizedTest
  @ValueSource(floats = {0f, 0.25f})
  void magnitudesOfDora(float dropout) {
    try (CausalLm model = load("extra/qwen3")) {
      model.attachLora(LoraSpec.rank(3).alpha(6).dropout(dropout).dora(true).seed(6));
      randomise(model, ".lora_B.weight", 0.1f);
      model.training(true);
      model.dropoutStep(3);
      List<GradientTable.Row> magnitudes =
          GradientTable.of(model, 20, 12).stream()
              .filter(row -> row.tensor().endsWith("lora_magnitude_vector"))
              .toList();
      assertRows(magnitudes, 7, false);
    }
  }

  private CausalLm load(String name) {
    return CausalLm.load(device, GoldenModel.directory(name), LoadOptions.asStored());
  }

  private static void randomise(CausalLm model, String suffix, float scale) {
    Random random = new Random(9);
    for (Parameter parameter : model.parameters().values()) {
      if (parameter.name().endsWith(suffix)) {
        float[] values = parameter.value().toFloatArray();
        for (int i = 0; i < values.length; i++) {
          values[i] = scale * (float) random.nextGaussian();
        }
        parameter.value().copyFrom(values);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"extra/qwen3, 18", "models/gemma2, 13", "extra/llama3, 18"})
  void denseWeightsOfEveryKind(String name, int kinds) {
    try (CausalLm model = load(name)) {
      model.trainDense(weight -> true);
      assertRows(GradientTable.of(model, 20, 6), kinds, false);
    }
  }
}
