package org.lorakernels.training;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.zip.CRC32C;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.checkpoint.CheckpointWriter;
import org.lorakernels.training.checkpoint.TrainingCheckpoint;
import org.lorakernels.training.data.Batch;

/**
 * What a checkpoint of a run holds, and how the run goes on from it. The order of the data and the
 * dropout masks are functions of the configuration and the step's number (see {@link DataOrder}),
 * so that parameters, moments and the number of steps are all the state there is.
 */
final class RunState {
  private static final String PARAMETERS = "parameters.safetensors";
  private static final String OPTIMIZER = "optimizer.safetensors";
  private static final String TRAINING = "training";
  private static final String DATA = "data";

  private static final String OPTIM = "optim";

  /** Settings that decide which examples a step takes. */
  private static final List<String> FIXED =
      List.of("batch_size", "gradient_accumulation_steps", "shuffle", "seed");

  /** Settings that change numbers but may be changed on purpose. */
  private static final List<String> CHANGEABLE =
      List.of(
          "learning_rate",
          "lr_scheduler",
          "warmup_steps",
          "warmup_ratio",
          "weight_decay",
          "adam_beta1",
          "adam_beta2",
          "adam_epsilon",
          "max_grad_norm");

  /** Examples that stand for the whole data set in its fingerprint. */
  private static final int SAMPLE = 64;

  private final TrainableModel model;
  private final DecayGroups optimizer;
  private final JsonObject description;

  RunState(TrainableModel model, DecayGroups optimizer, TrainingConfig config, TrainingData data) {
    this.model = model;
    this.optimizer = optimizer;
    this.description = new JsonObject().put(TRAINING, config.json()).put(DATA, describe(data));
  }

  private static JsonObject describe(TrainingData data) {
    CRC32C checksum = new CRC32C();
    int sample = Math.min(SAMPLE, data.size());
    for (int i = 0; i < sample; i++) {
      Batch example = data.batch(new int[] {(int) ((long) i * data.size() / sample)});
      update(checksum, example.inputIds());
      update(checksum, example.labels());
    }
    return new JsonObject()
        .put("examples", data.size())
        .put("fingerprint", String.format("%08x", checksum.getValue()));
  }

  private static void update(CRC32C checksum, int[] values) {
    for (int value : values) {
      for (int shift = 0; shift < Integer.SIZE; shift += Byte.SIZE) {
        checksum.update(value >>> shift);
      }
    }
  }

  private SortedMap<String, Tensor> parameters() {
    SortedMap<String, Tensor> values = new TreeMap<>();
    for (Parameter parameter : model.parameters().values()) {
      values.put(parameter.name(), parameter.value());
    }
    return values;
  }

  /** Writes a checkpoint; see {@link CheckpointWriter#write}. */
  Path write(CheckpointWriter writer, long step) {
    return writer.write(
        step,
        description,
        Map.of(PARAMETERS, parameters()),
        directory -> {
          optimizer.write(directory.resolve(OPTIMIZER));
          model.saveAdapter(directory);
        });
  }

  /**
   * Goes on from a checkpoint.
   *
   * @param warnings is told of settings that differ but may
   * @return steps taken until then
   * @throws InvalidArgumentException if steps would take other examples than in the run so far
   */
  long restore(TrainingCheckpoint checkpoint, Consumer<String> warnings) {
    JsonObject before = checkpoint.state();
    if (!before.object(DATA).equals(description.object(DATA))) {
      throw differs(checkpoint, "the data", before.object(DATA), description.object(DATA));
    }
    JsonObject then = before.object(TRAINING);
    JsonObject now = description.object(TRAINING);
    for (String name : FIXED) {
      if (!then.get(name).equals(now.get(name))) {
        throw differs(checkpoint, name, then.get(name), now.get(name));
      }
    }
    // Where states are kept changes nothing. Runs from before there was a choice had F32.
    OptimizerType type =
        then.get(OPTIM) == null ? OptimizerType.ADAMW_TORCH : OptimizerType.of(then.string(OPTIM));
    if (type.stateType() != OptimizerType.of(now.string(OPTIM)).stateType()) {
      throw differs(checkpoint, OPTIM, type, now.string(OPTIM));
    }
    for (String name : CHANGEABLE) {
      if (!then.get(name).equals(now.get(name))) {
        warnings.accept(
            "resumed with " + name + " " + now.get(name) + ", where the run had " + then.get(name));
      }
    }
    checkpoint.restore(model.device(), PARAMETERS, parameters());
    optimizer.read(checkpoint.directory().resolve(OPTIMIZER));
    return checkpoint.step();
  }

  private static InvalidArgumentException differs(
      TrainingCheckpoint checkpoint, String what, Object then, Object now) {
    return new InvalidArgumentException(
        "resume: "
            + what
            + " must be as in "
            + checkpoint.directory()
            + " ("
            + then
            + "), but is "
            + now
            + "; use the same, or another output directory");
  }
}
