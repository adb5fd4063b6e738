package org.lorakernels.training;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.training.data.Batch;

/**
 * The smallest language model: the logits of a token depend on the token before it alone. Its
 * gradients are computed here in float64, so that what a trainer does with them can be predicted.
 */
final class BigramModel implements TrainableModel, AutoCloseable {
  static final int VOCABULARY = 7;

  private final Device device = Device.cpu();
  private final SortedMap<String, Parameter> parameters = new TreeMap<>();
  private long dropoutStep = -1;
  private boolean training;
  private boolean dropout;
  private long poisonedStep = Long.MAX_VALUE;

  BigramModel(long seed) {
    Random random = new Random(seed);
    float[] values = new float[VOCABULARY * VOCABULARY];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    add("table", Tensor.of(device, values, VOCABULARY, VOCABULARY));
    add("bias", Tensor.zeros(device, DType.F32, VOCABULARY));
  }

  private void add(String name, Tensor value) {
    parameters.put(
        name, new Parameter(name, value, Tensor.zeros(device, DType.F32, value.shape())));
  }

  /** In training, tokens drop out by the dropout step. */
  BigramModel withDropout() {
    dropout = true;
    return this;
  }

  /** From this dropout step on, the gradient of the table is NaN. */
  BigramModel poisonedFrom(long step) {
    poisonedStep = step;
    return this;
  }

  float[] value(String name) {
    return parameters.get(name).value().toFloatArray();
  }

  float[] gradient(String name) {
    return parameters.get(name).gradient().toFloatArray();
  }

  boolean isTraining() {
    return training;
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public SortedMap<String, Parameter> parameters() {
    return parameters;
  }

  @Override
  public void training(boolean on) {
    training = on;
  }

  @Override
  public void dropoutStep(long step) {
    dropoutStep = step;
  }

  @Override
  public double loss(Batch batch) {
    return pass(batch, 0, null, null);
  }

  @Override
  public double lossAndGradients(Batch batch, float gradientScale) {
    float[] table = gradient("table");
    float[] bias = gradient("bias");
    double loss = pass(batch, gradientScale, table, bias);
    if (dropoutStep >= poisonedStep) {
      table[3] = Float.NaN;
    }
    parameters.get("table").gradient().copyFrom(table);
    parameters.get("bias").gradient().copyFrom(bias);
    return loss;
  }

  /** A mask that depends on the dropout step: this token's logits are off in training. */
  private boolean dropped(int token) {
    return dropout && training && dropoutStep % VOCABULARY == token;
  }

  private double pass(Batch batch, float scale, float[] dtable, float[] dbias) {
    float[] table = value("table");
    float[] bias = value("bias");
    int[] ids = batch.inputIds();
    int[] labels = batch.labels();
    int[] offsets = batch.offsets();
    double loss = 0;
    for (int s = 0; s < batch.sequences(); s++) {
      for (int i = offsets[s] + 1; i < offsets[s + 1]; i++) {
        if (labels[i] != Batch.IGNORED) {
          loss += token(ids[i - 1], labels[i], table, bias, scale, dtable, dbias);
        }
      }
    }
    return loss;
  }

  private double token(
      int before, int label, float[] table, float[] bias, float scale, float[] dt, float[] db) {
    double[] p = new double[VOCABULARY];
    double sum = 0;
    double factor = dropped(before) ? 0 : 1;
    for (int v = 0; v < VOCABULARY; v++) {
      p[v] = Math.exp(factor * table[before * VOCABULARY + v] + bias[v]);
      sum += p[v];
    }
    for (int v = 0; dt != null && v < VOCABULARY; v++) {
      double gradient = scale * (p[v] / sum - (v == label ? 1 : 0));
      dt[before * VOCABULARY + v] += (float) (factor * gradient);
      db[v] += (float) gradient;
    }
    return -Math.log(p[label] / sum);
  }

  @Override
  public void saveAdapter(Path directory) {}

  @Override
  public void saveResult(Path output) {
    SafetensorsWriter.write(
        output.resolve("model.safetensors"),
        SafetensorsWriter.PYTORCH,
        Map.of("table", parameters.get("table").value()));
  }

  @Override
  public void close() {
    List.copyOf(parameters.values())
        .forEach(
            parameter -> {
              parameter.value().close();
              parameter.gradient().close();
            });
    device.close();
  }

  /** Random sequences of 2 to 9 tokens. */
  static TrainingData data(int examples, long seed) {
    Random random = new Random(seed);
    int[][] sequences = new int[examples][];
    for (int e = 0; e < examples; e++) {
      sequences[e] = random.ints(2 + random.nextInt(8), 0, VOCABULARY).toArray();
    }
    return data(sequences);
  }

  static TrainingData data(int[][] sequences) {
    return new TrainingData() {
      @Override
      public int size() {
        return sequences.length;
      }

      @Override
      public Batch batch(int[] examples) {
        int[] offsets = new int[examples.length + 1];
        for (int i = 0; i < examples.length; i++) {
          offsets[i + 1] = offsets[i] + sequences[examples[i]].length;
        }
        int[] ids = new int[offsets[examples.length]];
        for (int i = 0; i < examples.length; i++) {
          int[] sequence = sequences[examples[i]];
          System.arraycopy(sequence, 0, ids, offsets[i], sequence.length);
        }
        return new Batch(ids, ids, null, offsets);
      }
    };
  }
}
