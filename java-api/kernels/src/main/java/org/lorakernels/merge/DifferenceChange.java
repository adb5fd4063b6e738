package org.lorakernels.merge;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernels;
import org.lorakernels.MergeKernels;
import org.lorakernels.MergeKernels.OpposingSigns;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.Weight;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import org.lorakernels.merge.CombineMethod.Domain;

/**
 * The differences of fine-tuned models from their base, combined one weight at a time: task
 * arithmetic, TIES, DARE, DELLA, breadcrumbs; or slerp between the base and one model. Holds the
 * differences of one weight in F32.
 */
final class DifferenceChange implements ModelChange {
  /** Above this cosine two weights are taken as parallel, and slerp is a straight line. */
  private static final double PARALLEL = 0.9995;

  private final List<WeightedModel> models;
  private final CombineConfig config;
  private final TensorCombiner combiner; // null: slerp
  private final List<Checkpoint> checkpoints = new ArrayList<>();

  DifferenceChange(Device device, List<WeightedModel> models, CombineConfig config) {
    this.models = models;
    this.config = config;
    CombineMethod method = config.method();
    if (models.isEmpty() || models.stream().allMatch(model -> model.weight() == 0)) {
      throw new InvalidArgumentException(
          "merge: needs at least one model with a weight that is not 0");
    }
    if (method.domain() == Domain.MODELS) {
      if (models.size() != 1) {
        throw new InvalidArgumentException(
            "merge: slerp goes from the base to one model, but " + models.size() + " were given");
      }
      this.combiner = null;
    } else {
      if (method == CombineMethod.CAT || method.name().contains("SVD")) {
        throw new InvalidArgumentException(
            "merge: "
                + method
                + " is about the rank of adapters; models are combined by task_arithmetic, ties,"
                + " dare_linear, dare_ties, magnitude_prune, della, breadcrumbs or slerp");
      }
      this.combiner = new TensorCombiner(config);
    }
    try {
      models.forEach(model -> checkpoints.add(Checkpoint.open(device, model.directory())));
    } catch (RuntimeException failure) {
      close();
      throw failure;
    }
  }

  @Override
  public void requireFits(Checkpoint base) {
    for (Checkpoint model : checkpoints) {
      for (String name : base.tensorNames()) {
        if (base.isQuantized(name) || model.contains(name) && model.isQuantized(name)) {
          throw new UnsupportedException(
              "merge: models are combined dense, but " + name + " is in 4 bits");
        }
        if (!model.contains(name) || !Arrays.equals(base.shape(name), model.shape(name))) {
          throw new CheckpointException(
              model.directory(),
              "merge: the model must have "
                  + name
                  + " "
                  + Arrays.toString(base.shape(name))
                  + " as the base has, but "
                  + (model.contains(name)
                      ? "it is " + Arrays.toString(model.shape(name))
                      : "there is none")
                  + "; name models that were fine-tuned from this base");
        }
      }
    }
  }

  @Override
  public boolean changes(String weight) {
    return checkpoints.stream()
        .allMatch(model -> model.storedDtype(weight).dtype().filter(DType::isFloat).isPresent());
  }

  @Override
  public Tensor apply(String weight, Weight base, DType out) {
    Tensor result = Tensor.zeros(base.device(), out, checkpoints.get(0).shape(weight));
    try (Tensor origin = LoraKernels.dequantize(base, DType.F32)) {
      if (combiner == null) {
        interpolate(weight, origin, result);
      } else {
        addDifferences(weight, origin, result);
      }
      return result;
    } catch (RuntimeException failure) {
      result.close();
      throw failure;
    }
  }

  private void addDifferences(String weight, Tensor origin, Tensor result) {
    List<Tensor> differences = differences(weight, origin);
    try (Tensor sum = Tensor.zeros(origin.device(), DType.F32, origin.shape())) {
      combiner.combine(weight, CombineMasks.Part.DELTA, differences, weights(), true, sum);
      add(origin, sum, result);
    } finally {
      differences.forEach(Tensor::close);
    }
  }

  private static void add(Tensor origin, Tensor sum, Tensor result) {
    try (Tensor matrix = result.view(origin.shape())) {
      MergeKernels.combineLinear(List.of(origin, sum), new float[] {1, 1}, matrix);
    }
  }

  /** As mergekit's slerp: directions from the normalised weights, applied to the weights. */
  private void interpolate(String weight, Tensor origin, Tensor result) {
    double t = models.get(0).weight();
    try (Tensor stored = checkpoints.get(0).dense(weight);
        Tensor other = stored.view(origin.shape());
        Tensor matrix = result.view(origin.shape())) {
      double lengths = Math.sqrt(MergeKernels.dot(origin, origin) * MergeKernels.dot(other, other));
      double cosine = lengths == 0 ? 1 : MergeKernels.dot(origin, other) / lengths;
      double angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
      boolean parallel = Math.abs(cosine) > PARALLEL;
      double from = parallel ? 1 - t : Math.sin((1 - t) * angle) / Math.sin(angle);
      double to = parallel ? t : Math.sin(t * angle) / Math.sin(angle);
      MergeKernels.combineLinear(
          List.of(origin, other), new float[] {(float) from, (float) to}, matrix);
    }
  }

  /** model - base in F32, of each model; to be closed. */
  private List<Tensor> differences(String weight, Tensor origin) {
    List<Tensor> differences = new ArrayList<>();
    try {
      for (Checkpoint model : checkpoints) {
        Tensor difference = Tensor.zeros(origin.device(), DType.F32, origin.shape());
        differences.add(difference);
        try (Tensor stored = model.dense(weight);
            Tensor tuned = stored.view(origin.shape())) {
          MergeKernels.combineLinear(List.of(tuned, origin), new float[] {1, -1}, difference);
        }
      }
      return differences;
    } catch (RuntimeException failure) {
      differences.forEach(Tensor::close);
      throw failure;
    }
  }

  private float[] weights() {
    float[] weights = new float[models.size()];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = models.get(i).weight();
    }
    return weights;
  }

  @Override
  public Nf4Tensor applyQuantized(String weight, Nf4Tensor base) {
    throw new UnsupportedException(
        "merge: models are combined dense, but " + weight + " is in 4 bits");
  }

  @Override
  public OpposingSigns opposingSigns(String weight, Weight base) {
    try (Tensor origin = LoraKernels.dequantize(base, DType.F32)) {
      List<Tensor> differences = differences(weight, origin);
      try {
        return MergeKernels.opposingSigns(differences, weights());
      } finally {
        differences.forEach(Tensor::close);
      }
    }
  }

  @Override
  public CombineMethod method() {
    return config.method();
  }

  @Override
  public List<Path> directories() {
    return models.stream().map(WeightedModel::directory).toList();
  }

  @Override
  public JsonObject describe() {
    JsonArray list = new JsonArray();
    for (WeightedModel model : models) {
      list.add(
          new JsonObject()
              .put("model", model.directory().toString())
              .put("weight", (double) model.weight()));
    }
    return config.describe().put("models", list);
  }

  @Override
  public void close() {
    checkpoints.forEach(Checkpoint::close);
  }
}
