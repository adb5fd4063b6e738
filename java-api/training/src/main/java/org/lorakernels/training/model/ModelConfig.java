package org.lorakernels.training.model;

import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.lorakernels.Activation;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.UnsupportedException;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonObject;

/**
 * What a model is made of: the content of {@code config.json}, of transformers 4 or 5, with the
 * defaults that transformers has for what is not said. Enough to know the shape of every tensor
 * without loading one. Immutable.
 *
 * @param architecture the class of the model
 * @param vocabularySize rows of the embedding and of the head
 * @param hiddenSize features of a token between layers
 * @param intermediateSize features inside a feed-forward network
 * @param heads query heads
 * @param kvHeads key and value heads; divides {@code heads}
 * @param headDim features of a head
 * @param maxPositions the longest sequence that the model was made for
 * @param normEpsilon added to the mean square in norms
 * @param activation of the gate
 * @param queryKeyValueBias whether those three projections have a bias
 * @param outputBias whether the output projection of attention has one
 * @param feedForwardBias whether the projections of feed-forward networks have one
 * @param tiedHead whether the head is the embedding
 * @param attentionScale factor of q·k
 * @param attentionSoftcap soft cap of scores; 0: none
 * @param logitSoftcap soft cap of logits; 0: none
 * @param layers what differs between layers, first to last
 * @param dtype of the weights; null where it is not said
 */
public record ModelConfig(
    Architecture architecture,
    int vocabularySize,
    int hiddenSize,
    int intermediateSize,
    int heads,
    int kvHeads,
    int headDim,
    long maxPositions,
    float normEpsilon,
    Activation activation,
    boolean queryKeyValueBias,
    boolean outputBias,
    boolean feedForwardBias,
    boolean tiedHead,
    float attentionScale,
    float attentionSoftcap,
    float logitSoftcap,
    List<LayerAttention> layers,
    DType dtype) {

  /**
   * Attention of one layer.
   *
   * @param window how many tokens a token sees, itself included; 0: all before it
   * @param rope rotary positions
   */
  public record LayerAttention(int window, RopeConfig rope) {}

  /** Copies the list. */
  public ModelConfig {
    layers = List.copyOf(layers);
  }

  /**
   * Reads {@code config.json}.
   *
   * @param directory a checkpoint
   * @throws CheckpointException if the file is missing or malformed
   * @throws UnsupportedException if the architecture is not known, or one of its settings is not
   *     computed here; the message names it
   */
  public static ModelConfig read(Path directory) {
    return parse(directory, Checkpoint.readConfig(directory));
  }

  /** {@link #read} of a content that was read already; {@code directory} is for messages. */
  static ModelConfig parse(Path directory, JsonObject json) {
    try {
      return new ModelConfigReader(json).read();
    } catch (JsonException e) {
      throw new CheckpointException(
          directory.resolve("config.json"), "config: " + e.getMessage(), e);
    }
  }

  /** Features of all query heads. */
  public int querySize() {
    return heads * headDim;
  }

  /** Features of all key heads, or of all value heads. */
  public int kvSize() {
    return kvHeads * headDim;
  }

  /** The factor of embeddings; 1 unless the architecture scales them. */
  public double embeddingScale() {
    return architecture.scalesEmbedding() ? Math.sqrt(hiddenSize) : 1;
  }

  /** The distinct rotary positions. */
  Set<RopeConfig> ropes() {
    Set<RopeConfig> distinct = new LinkedHashSet<>();
    layers.forEach(layer -> distinct.add(layer.rope()));
    return distinct;
  }

  /**
   * The shape of every weight, by transformers' name, biases and norms included; a tied head does
   * not appear twice.
   */
  public SortedMap<String, long[]> shapes() {
    SortedMap<String, long[]> shapes = new TreeMap<>();
    WeightNames.forEach(this, shapes::put);
    return shapes;
  }

  /** The number of weights of the model. */
  public long parameterCount() {
    long count = 0;
    for (long[] shape : shapes().values()) {
      count += shape.length == 1 ? shape[0] : shape[0] * shape[1];
    }
    return count;
  }
}
