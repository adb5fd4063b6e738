package org.lorakernels.training.model;

import java.util.function.Consumer;
import org.lorakernels.DType;
import org.lorakernels.Tensor;

/** Attention, then a feed-forward network, each beside a residual connection. */
final class DecoderLayer {
  /** What backward needs beside the layer's input. */
  static final class Saved {
    private final Residual.Saved<Attention.Saved> attention;
    private final Residual.Saved<FeedForward.Saved> feedForward;
    private final Workspace.Buffer middle; // between the two

    Saved(ModelConfig config, DType dtype, Workspace workspace) {
      attention =
          new Residual.Saved<>(
              config, dtype, workspace, new Attention.Saved(config, dtype, workspace));
      feedForward =
          new Residual.Saved<>(
              config, dtype, workspace, new FeedForward.Saved(config, dtype, workspace));
      middle = workspace.rows(dtype, config.hiddenSize());
    }
  }

  private final Residual<Attention.Saved> attention;
  private final Residual<FeedForward.Saved> feedForward;

  DecoderLayer(Residual<Attention.Saved> attention, Residual<FeedForward.Saved> feedForward) {
    this.attention = attention;
    this.feedForward = feedForward;
  }

  /**
   * Computes the layer.
   *
   * @param x [tokens, hidden]
   * @param out [tokens, hidden], written; null: only what backward needs is computed
   */
  void forward(Pass pass, Tensor x, Saved saved, Tensor out) {
    attention.forward(pass, x, saved.attention, saved.middle.get());
    feedForward.forward(pass, saved.middle.get(), saved.feedForward, out);
  }

  /** See {@link Residual#backward}. */
  void backward(Pass pass, Tensor x, Saved saved, Tensor gradient, boolean inputWanted) {
    boolean below = inputWanted || attention.isTrainable();
    feedForward.backward(pass, saved.middle.get(), saved.feedForward, gradient, below);
    if (below) {
      attention.backward(pass, x, saved.attention, gradient, inputWanted);
    }
  }

  boolean isTrainable() {
    return attention.isTrainable() || feedForward.isTrainable();
  }

  void forEachLinear(Consumer<Linear> visitor) {
    attention.forEachLinear(visitor);
    feedForward.forEachLinear(visitor);
  }

  void forEachDense(Consumer<DenseParameter> visitor) {
    attention.forEachDense(visitor);
    feedForward.forEachDense(visitor);
  }
}
