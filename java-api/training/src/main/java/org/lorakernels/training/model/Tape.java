package org.lorakernels.training.model;

import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Tensor;

/** The activations of a pass that are kept from forward to backward. */
final class Tape implements AutoCloseable {
  /** How much is kept. */
  enum Mode {
    /** Nothing: there is no backward. */
    NONE,
    /** The inputs of layers; the rest is computed again (checkpointing: arXiv:1604.06174). */
    LAYER_INPUTS,
    /** All that backward needs. */
    ALL
  }

  private final Mode mode;
  private final Workspace workspace;
  private final Workspace.Buffer[] hidden;
  private final DecoderLayer.Saved[] saved;

  Tape(Device device, ModelConfig config, DType dtype, Mode mode) {
    int layers = config.layers().size();
    this.mode = mode;
    workspace = new Workspace(device);
    hidden = new Workspace.Buffer[mode == Mode.NONE ? 2 : layers + 1];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = workspace.rows(dtype, config.hiddenSize());
    }
    saved = new DecoderLayer.Saved[mode == Mode.ALL ? layers : 1];
    for (int i = 0; i < saved.length; i++) {
      saved[i] = new DecoderLayer.Saved(config, dtype, workspace);
    }
  }

  Mode mode() {
    return mode;
  }

  void resize(long tokens) {
    workspace.resize(tokens);
  }

  /** Bytes for passes of at most so many tokens. */
  long byteSize(long tokens) {
    return workspace.byteSize(tokens);
  }

  /** The input of layer {@code i}, or, after the last layer, the output of all. */
  Tensor hidden(int i) {
    return hidden[i % hidden.length].get();
  }

  DecoderLayer.Saved saved(int layer) {
    return saved[layer % saved.length];
  }

  @Override
  public void close() {
    workspace.close();
  }
}
