package org.lorakernels.training;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.Device;
import org.lorakernels.training.data.Collation;
import org.lorakernels.training.data.EncodedData;
import org.lorakernels.training.data.EncodingOptions;
import org.lorakernels.training.data.ModelEncoder;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;
import org.lorakernels.training.model.LoraSpec;

/** The README's example, compiled and run. */
class FineTuningExampleTest {
  private static final Path HOME = Path.of(System.getProperty("lk.home"));
  private static final Path QUICKSTART = HOME.resolve("java-api/cli/quickstart");

  /** Between the marks: what the README shows. */
  private static double fineTune(Path model, Path train, Path heldOut, Path out, double epochs) {
    // README
    LoadOptions nf4 = LoadOptions.asStored().bits(4).doubleQuantized(true);
    try (Device device = Device.best();
        ModelEncoder encoder = ModelEncoder.of(model, EncodingOptions.ofLength(1024));
        CausalLm lm = CausalLm.load(device, model, nf4)) {
      lm.attachLora(LoraSpec.rank(16).alpha(32).dropout(0.05f));
      TrainingConfig config =
          TrainingConfig.builder().epochs(epochs).learningRate(2e-3).outputDirectory(out).build();
      Trainer trainer = Trainer.of(lm, config);
      trainer.data(EncodedData.read(train, null, encoder, Collation.RAGGED));
      trainer.evaluationData(EncodedData.read(heldOut, null, encoder, Collation.RAGGED));
      trainer.train(); // the adapter is in out, in PEFT's format
      return trainer.evaluate().perplexity();
    }
    // README
  }

  @Test
  void theExampleLearnsAndSaves(@TempDir Path out) {
    Path base = QUICKSTART.resolve("base");
    Path train = QUICKSTART.resolve("data/train.jsonl");
    Path heldOut = QUICKSTART.resolve("data/held_out.jsonl");
    double little = fineTune(base, train, heldOut, out.resolve("little"), 0.1);
    double more = fineTune(base, train, heldOut, out.resolve("more"), 3);
    assertTrue(more < 0.95 * little, more + " after three epochs, " + little + " after a step");
    assertTrue(Files.isRegularFile(out.resolve("more/adapter_model.safetensors")));
  }

  @Test
  void theReadmeShowsTheExample() throws IOException {
    String source =
        Files.readString(
            HOME.resolve(
                "tests/src/test/java/org/lorakernels/training/FineTuningExampleTest.java"));
    String[] parts = source.split("    // README\n");
    String example = parts[1].replaceAll("(?m)^    ", "");
    assertTrue(
        Files.readString(HOME.resolve("README.md")).contains(example),
        "README.md must show:\n" + example);
  }
}
