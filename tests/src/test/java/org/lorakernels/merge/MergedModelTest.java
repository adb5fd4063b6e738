package org.lorakernels.merge;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Tolerance;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.safetensors.CraftedFile;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.CausalLm;
import org.lorakernels.training.model.LoadOptions;

/** What merged models compute, against base and adapter. */
class MergedModelTest {
  private static final CombineConfig LINEAR = CombineConfig.of(CombineMethod.LINEAR);

  @TempDir Path directory;

  private void merge(Device device, Path model, Path adapter) {
    try (PeftAdapter loaded = PeftAdapter.map(device, adapter)) {
      CheckpointMerger.of(model)
          .adapters(List.of(new WeightedAdapter(loaded, 1)), LINEAR)
          .merge(device, directory.resolve("out"));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "llama_tied", "mistral", "qwen2", "gemma2"})
  void itsLogitsAreThoseOfBaseAndAdapter(String name) {
    Path model = CraftedFile.resource("golden/models/" + name);
    Path adapter = model.resolve("adapter");
    int[] ids = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
    Batch batch = new Batch(ids, ids, null, new int[] {0, 7, ids.length});
    try (Device device = Device.cpu()) {
      merge(device, model, adapter);
      try (CausalLm base = CausalLm.load(device, model, LoadOptions.asStored());
          CausalLm merged =
              CausalLm.load(device, directory.resolve("out"), LoadOptions.asStored())) {
        float[] without = base.logits(batch);
        base.loadAdapter(adapter);
        float[] expected = base.logits(batch);
        Compare.close(
            "logits",
            Precision.widen(expected),
            merged.logits(batch),
            Tolerance.ofMax(1e-5, "weights rounded once to F32, through two layers"));
        assertFalse(java.util.Arrays.equals(without, expected), "the adapter does something");
      }
    }
  }

  /**
   * One requantisation moves an element by at most half of the widest gap of NF4, which is between
   * -1 and -0.6962, times the largest magnitude of its block; so an output by at most the sum over
   * its inputs of |x| times that.
   */
  @Test
  void requantisationStaysWithinItsBound() {
    Path model = CraftedFile.resource("golden/models/llama_nf4");
    Path adapter = CraftedFile.resource("golden/models/llama/adapter");
    double halfGap = (1 - 0.6961928) / 2;
    double worst = 0;
    try (Device device = Device.cpu();
        PeftAdapter loaded = PeftAdapter.map(device, adapter)) {
      merge(device, model, adapter);
      try (Checkpoint before = Checkpoint.open(device, model);
          Checkpoint after = Checkpoint.open(device, directory.resolve("out"))) {
        for (Map.Entry<String, LoraAdapter> module : loaded.modules().entrySet()) {
          String name = module.getKey() + ".weight";
          try (Nf4Tensor base = before.nf4(name);
              Tensor exact = Tensor.zeros(device, DType.F32, base.rows(), base.cols());
              Nf4Tensor requantized = after.nf4(name);
              Tensor stored = LoraKernels.dequantize(requantized, DType.F32)) {
            LoraKernels.merge(base, module.getValue(), exact);
            float[] expected = exact.toFloatArray();
            float[] actual = stored.toFloatArray();
            int block = base.format().blockSize();
            for (int from = 0; from < expected.length; from += block) {
              int to = Math.min(from + block, expected.length);
              double absmax = 0;
              double error = 0;
              for (int i = from; i < to; i++) {
                absmax = Math.max(absmax, Math.abs(expected[i]));
                error = Math.max(error, Math.abs((double) expected[i] - actual[i]));
              }
              worst = Math.max(worst, error / absmax);
              assertTrue(error <= halfGap * absmax * (1 + 1e-5), name + ", block at " + from);
            }
          }
        }
      }
    }
    assertTrue(worst > 0.1, "the bound is not far from what happens, but the worst is " + worst);
  }
}
