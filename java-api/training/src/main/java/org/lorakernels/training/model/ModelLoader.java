package org.lorakernels.training.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.huggingface.Checkpoint;

/**
 * Puts a model together from the weights of a checkpoint. What it loads belongs to the {@link
 * Parts} that it returns; where it fails, it closes everything.
 */
final class ModelLoader {
  /** A model and all that must be closed with it. */
  record Parts(
      DType computeDtype, DecoderStack stack, Head head, Scratch scratch, List<Resource> owned) {}

  private final Device device;
  private final Checkpoint checkpoint;
  private final ModelConfig config;
  private final LoadOptions options;
  private final SortedMap<String, long[]> shapes;
  private final List<Resource> owned = new ArrayList<>();

  ModelLoader(Device device, Checkpoint checkpoint, ModelConfig config, LoadOptions options) {
    this.device = device;
    this.checkpoint = checkpoint;
    this.config = config;
    this.options = options;
    this.shapes = config.shapes();
  }

  Parts load() {
    try {
      return build();
    } catch (RuntimeException failure) {
      CausalLm.closeAll(owned);
      throw failure;
    }
  }

  private Parts build() {
    DenseParameter table = dense(WeightNames.EMBEDDING + WeightNames.WEIGHT);
    DType dtype = options.computeDtype().orElse(table.value().dtype());
    Scratch scratch = own(new Scratch(device, config, dtype));
    Map<RopeConfig, RopeTable> ropes = new LinkedHashMap<>();
    for (RopeConfig rope : config.ropes()) {
      ropes.put(rope, own(new RopeTable(device, rope, config.headDim())));
    }
    List<DecoderLayer> layers = new ArrayList<>();
    for (int i = 0; i < config.layers().size(); i++) {
      layers.add(layer(i, dtype, ropes.get(config.layers().get(i).rope()), scratch));
    }
    float scale = Embedding.rounded(device, config.embeddingScale(), dtype);
    DecoderStack stack =
        new DecoderStack(table, scale, layers, List.copyOf(ropes.values()), scratch);
    Head head = own(new Head(head(table), config.logitSoftcap(), scratch, new Workspace(device)));
    return new Parts(dtype, stack, head, scratch, owned);
  }

  private Head.Parts head(DenseParameter table) {
    RmsNorm norm = norm(WeightNames.FINAL_NORM);
    String name = WeightNames.HEAD + WeightNames.WEIGHT;
    if (config.tiedHead()) {
      return new Head.Parts(norm, null, table, true);
    }
    return checkpoint.isQuantized(name) && options.bits().orElse(4) == 4
        ? new Head.Parts(norm, quantized(name), null, false)
        : new Head.Parts(norm, null, dense(name), false);
  }

  private DecoderLayer layer(int i, DType dtype, RopeTable rope, Scratch scratch) {
    boolean headNorms = config.architecture().queryKeyNorms();
    Attention attention =
        new Attention(
            config,
            i,
            new Attention.Parts(
                linear(i, WeightNames.QUERY, dtype),
                linear(i, WeightNames.KEY, dtype),
                linear(i, WeightNames.VALUE, dtype),
                linear(i, WeightNames.OUTPUT, dtype),
                headNorms ? norm(WeightNames.module(i, WeightNames.QUERY_NORM)) : null,
                headNorms ? norm(WeightNames.module(i, WeightNames.KEY_NORM)) : null),
            rope,
            scratch);
    FeedForward feedForward =
        new FeedForward(
            config.activation(),
            linear(i, WeightNames.GATE, dtype),
            linear(i, WeightNames.UP, dtype),
            linear(i, WeightNames.DOWN, dtype),
            scratch);
    Architecture.Norms norms = config.architecture().norms();
    return new DecoderLayer(
        new Residual<>(
            norm(WeightNames.module(i, norms.beforeAttention)),
            attention,
            norms.afterAttention == null ? null : norm(WeightNames.module(i, norms.afterAttention)),
            scratch),
        new Residual<>(
            norm(WeightNames.module(i, norms.beforeFeedForward)),
            feedForward,
            norms.afterFeedForward == null
                ? null
                : norm(WeightNames.module(i, norms.afterFeedForward)),
            scratch));
  }

  private RmsNorm norm(String module) {
    return new RmsNorm(
        dense(module + WeightNames.WEIGHT),
        config.architecture().normOffset(),
        config.normEpsilon());
  }

  private Linear linear(int layer, String name, DType dtype) {
    String module = WeightNames.module(layer, name);
    String weight = module + WeightNames.WEIGHT;
    String bias = module + WeightNames.BIAS;
    boolean fourBit =
        options.bits().map(bits -> bits == 4).orElseGet(() -> checkpoint.isQuantized(weight));
    Nf4Tensor quantized = fourBit ? quantized(weight) : null;
    return new Linear(
        module,
        quantized,
        fourBit ? null : dense(weight),
        shapes.containsKey(bias) ? bias(bias, dtype) : null);
  }

  /** A weight in 4 bits: as stored, or quantised here. */
  private Nf4Tensor quantized(String name) {
    requireShape(name);
    Nf4Tensor weight;
    if (checkpoint.isQuantized(name)) {
      weight = checkpoint.nf4(name);
    } else {
      try (Tensor dense = checkpoint.dense(name)) {
        weight = LoraKernels.quantize(dense, options.format());
      }
    }
    owned.add(weight::close);
    return weight;
  }

  /** A dense weight in the type that it shall be held in; stored in 4 bits: dequantised. */
  private DenseParameter dense(String name) {
    requireShape(name);
    if (checkpoint.isQuantized(name) && options.bits().orElse(4) != 4) {
      try (Nf4Tensor stored = checkpoint.nf4(name)) {
        DType held = options.held(DType.F32);
        return own(
            new DenseParameter(name, stored.sourceDtype(), LoraKernels.dequantize(stored, held)));
      }
    }
    Tensor stored = checkpoint.dense(name);
    return own(
        new DenseParameter(name, stored.dtype(), held(stored, options.held(stored.dtype()))));
  }

  /** Biases are F32 or of the compute type, which is what products take. */
  private DenseParameter bias(String name, DType dtype) {
    requireShape(name);
    Tensor stored = checkpoint.dense(name);
    DType held = options.held(stored.dtype());
    return own(
        new DenseParameter(name, stored.dtype(), held(stored, held == dtype ? held : DType.F32)));
  }

  private static Tensor held(Tensor stored, DType dtype) {
    if (stored.dtype() == dtype) {
      return stored;
    }
    try (stored) {
      return stored.to(dtype);
    }
  }

  private void requireShape(String name) {
    long[] expected = shapes.get(name);
    if (!checkpoint.contains(name)) {
      throw new CheckpointException(
          checkpoint.directory(),
          "model: "
              + config.architecture().className()
              + " needs \""
              + name
              + "\" "
              + Arrays.toString(expected)
              + ", but the checkpoint does not have it; download it again");
    }
    long[] actual = checkpoint.shape(name);
    if (!Arrays.equals(expected, actual)) {
      throw new CheckpointException(
          checkpoint.directory(),
          "model: by config.json \""
              + name
              + "\" must be "
              + Arrays.toString(expected)
              + ", but is "
              + Arrays.toString(actual)
              + "; config.json and weights are of different models");
    }
  }

  private <T extends Resource> T own(T part) {
    owned.add(part);
    return part;
  }
}
