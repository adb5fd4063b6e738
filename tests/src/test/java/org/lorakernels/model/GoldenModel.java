package org.lorakernels.model;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.lorakernels.AdamWConfig;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.TransformerKernels;
import org.lorakernels.golden.GoldenFile;
import org.lorakernels.golden.GoldenTensor;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Tolerance;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.CausalLm;

/** What the golden files of models share: batches, and training compared step by step. */
final class GoldenModel {
  /** torch in float32 is within 1.7e-6 of float64 here; the rest is another order of sums. */
  static final Tolerance F32 = Tolerance.absolute(1e-5, "logits and losses, F32 sums");

  static final Tolerance GRADIENTS = Tolerance.ofMax(1e-5, "gradients, F32 sums");

  /**
   * torch is 3.5e-5 from float64 after 20 steps, these kernels 2.2e-4 at worst (scalar, Gemma 2),
   * in an element whose first gradient is as small as rounding; see {@link #compareNorms}.
   */
  static final Tolerance TRAINED = Tolerance.ofMax(4e-4, "20 steps of AdamW in F32");

  private GoldenModel() {}

  /** A directory of golden files, as a path. */
  static Path directory(String name) {
    return GoldenFile.directory(name);
  }

  static int[] ints(GoldenTensor tensor) {
    float[] values = tensor.floats();
    int[] ints = new int[values.length];
    for (int i = 0; i < ints.length; i++) {
      ints[i] = (int) values[i];
    }
    return ints;
  }

  /** Rows [sequences, length] as a batch. */
  static Batch batch(int[] ids, int[] labels, int sequences) {
    int length = ids.length / sequences;
    int[] offsets = new int[sequences + 1];
    for (int s = 1; s <= sequences; s++) {
      offsets[s] = s * length;
    }
    return new Batch(ids, labels, null, offsets);
  }

  /** input_ids and labels of a file. */
  static Batch batch(GoldenFile file) {
    GoldenTensor ids = file.get("input_ids");
    return batch(ints(ids), ints(file.get("labels")), (int) ids.shape()[0]);
  }

  /** Entry t of train.input_ids, each token its own label. */
  static Batch trainingBatch(GoldenFile file, int t) {
    long[] shape = file.get("train.input_ids").shape();
    int[] all = ints(file.get("train.input_ids"));
    int size = (int) (shape[1] * shape[2]);
    int[] ids = Arrays.copyOfRange(all, t * size, (t + 1) * size);
    return batch(ids, ids, (int) shape[1]);
  }

  static double meanLoss(CausalLm model, Batch batch) {
    return model.loss(batch) / batch.labelledTokens();
  }

  static void compareMean(String what, GoldenTensor expected, double actual) {
    Compare.close(what, expected.doubles(), new float[] {(float) actual}, F32);
  }

  /** A batch for each step, and what its steps must give. */
  interface Batches {
    Batch of(int step);
  }

  /**
   * Trains as the golden file did and compares the loss of every step.
   *
   * @param norms gradient norms to compare with; null: there are none
   */
  static void compareCurve(
      CausalLm model, Batches batches, double[] losses, double[] norms, String what) {
    List<Parameter> parameters = new ArrayList<>(model.parameters().values());
    AdamWConfig config = AdamWConfig.defaults().learningRate(5e-3).weightDecay(0.01);
    try (PagedAdamW optimizer = PagedAdamW.over(parameters, config)) {
      float[] actual = new float[losses.length];
      float[] actualNorms = new float[losses.length];
      for (int step = 0; step < losses.length; step++) {
        Batch batch = batches.of(step);
        int count = batch.labelledTokens();
        optimizer.zeroGradients();
        actual[step] = (float) (model.lossAndGradients(batch, 1f / count) / count);
        actualNorms[step] = (float) gradientNorm(parameters);
        optimizer.step();
      }
      Compare.close(what + " loss", losses, actual, F32);
      if (norms != null) {
        compareNorms(what + " gradient norm", norms, actualNorms);
      }
    }
  }

  /**
   * AdamW divides by |g| + 1e-8, so where an element of a gradient is as small as its rounding
   * (Gemma 2 has one of 1e-7 beside a mean of 1e-2), the first update differs, and the difference
   * grows: torch in float64 is 6e-6 from the golden norm of step 20, the scalar kernels 1.5e-5.
   */
  private static void compareNorms(String what, double[] expected, float[] actual) {
    int early = Math.min(15, expected.length);
    Compare.close(
        what,
        Arrays.copyOf(expected, early),
        Arrays.copyOf(actual, early),
        Tolerance.relative(1e-5, 0, "F32 sums"));
    Compare.close(
        what + " later",
        Arrays.copyOfRange(expected, early, expected.length),
        Arrays.copyOfRange(actual, early, actual.length),
        Tolerance.relative(3e-5, 0, "F32 sums and the updates of tiny gradients"));
  }

  static double gradientNorm(List<Parameter> parameters) {
    double[] squares =
        TransformerKernels.sumsOfSquares(parameters.stream().map(Parameter::gradient).toList());
    return Math.sqrt(Arrays.stream(squares).sum());
  }

  /** Compares every gradient with {@code prefix + name} of a file. */
  static void compareGradients(CausalLm model, GoldenFile file, String prefix, int expectedCount) {
    int compared = 0;
    for (Parameter parameter : model.parameters().values()) {
      Compare.close(
          "gradient of " + parameter.name(),
          file.get(prefix + parameter.name()).doubles(),
          parameter.gradient().toFloatArray(),
          GRADIENTS);
      compared++;
    }
    if (compared != expectedCount) {
      throw new AssertionError(compared + " gradients instead of " + expectedCount);
    }
  }

  static void zeroGradients(CausalLm model) {
    model.parameters().values().forEach(parameter -> parameter.gradient().fill(0));
  }
}
