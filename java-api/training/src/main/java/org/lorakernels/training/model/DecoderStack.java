package org.lorakernels.training.model;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.lorakernels.Tensor;

/** From ids to the output of the last layer, and back. */
final class DecoderStack {
  private final Embedding embedding;
  private final DenseParameter embeddingTable;
  private final List<DecoderLayer> layers;
  private final List<RopeTable> ropes;
  private final Scratch scratch;

  DecoderStack(
      DenseParameter embeddingTable,
      float embeddingScale,
      List<DecoderLayer> layers,
      List<RopeTable> ropes,
      Scratch scratch) {
    this.embedding = new Embedding(embeddingTable, embeddingScale);
    this.embeddingTable = embeddingTable;
    this.layers = List.copyOf(layers);
    this.ropes = List.copyOf(ropes);
    this.scratch = scratch;
  }

  /**
   * Computes all layers.
   *
   * @param tape sized by this call; holds what backward needs
   * @return [tokens, hidden], a part of the tape
   */
  Tensor forward(Pass pass, Tape tape) {
    scratch.resize(pass.tokens(), tape.mode() != Tape.Mode.NONE);
    tape.resize(pass.tokens());
    ropes.forEach(rope -> rope.require(pass.longest()));
    embedding.forward(pass.ids(), tape.hidden(0));
    for (int i = 0; i < layers.size(); i++) {
      layers.get(i).forward(pass, tape.hidden(i), tape.saved(i), tape.hidden(i + 1));
    }
    return tape.hidden(layers.size());
  }

  /**
   * Adds to the gradients of what is trainable; stops below the lowest of it.
   *
   * @param tape of forward; used up
   * @param gradient [tokens, hidden], of what forward returned; used up
   */
  void backward(Pass pass, Tape tape, Tensor gradient) {
    int lowest = lowestTrainable();
    int last = layers.size() - 1;
    for (int i = last; i >= lowest; i--) {
      if (tape.mode() == Tape.Mode.LAYER_INPUTS && i < last) {
        layers.get(i).forward(pass, tape.hidden(i), tape.saved(i), null);
      }
      boolean inputWanted = i > lowest || embedding.isTrainable();
      layers.get(i).backward(pass, tape.hidden(i), tape.saved(i), gradient, inputWanted);
    }
    embedding.backward(pass.ids(), gradient);
  }

  /** The first layer that backward must reach; the number of layers where there is none. */
  private int lowestTrainable() {
    if (embedding.isTrainable()) {
      return 0;
    }
    for (int i = 0; i < layers.size(); i++) {
      if (layers.get(i).isTrainable()) {
        return i;
      }
    }
    return layers.size();
  }

  /** All linear layers of decoder layers, first to last. */
  List<Linear> linears() {
    List<Linear> linears = new ArrayList<>();
    layers.forEach(layer -> layer.forEachLinear(linears::add));
    return linears;
  }

  void forEachDense(Consumer<DenseParameter> visitor) {
    visitor.accept(embeddingTable);
    layers.forEach(layer -> layer.forEachDense(visitor));
  }
}
