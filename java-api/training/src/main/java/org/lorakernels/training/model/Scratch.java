package org.lorakernels.training.model;

import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Tensor;

/** Memory that all layers use one after the other; what backward needs is made by the first one. */
final class Scratch implements Resource {
  private final Workspace forward;
  private final Workspace.Buffer normed;
  private final Workspace.Buffer output;
  private final Workspace.Buffer activated;
  private final Workspace backward;
  private final Workspace.Buffer gradient;
  private final Workspace.Buffer dnormed;
  private final Workspace.Buffer dactivated;
  private final Workspace.Buffer dattended;
  private final Workspace.Buffer dquery;
  private final Workspace.Buffer dkey;
  private final Workspace.Buffer dvalue;

  Scratch(Device device, ModelConfig config, DType dtype) {
    forward = new Workspace(device);
    normed = forward.rows(dtype, config.hiddenSize());
    output = forward.rows(dtype, config.hiddenSize());
    activated = forward.rows(dtype, config.intermediateSize());
    backward = new Workspace(device);
    gradient = backward.rows(dtype, config.hiddenSize());
    dnormed = backward.rows(dtype, config.hiddenSize());
    dactivated = backward.rows(dtype, config.intermediateSize());
    dattended = backward.rows(dtype, config.querySize());
    dquery = backward.rows(dtype, config.querySize());
    dkey = backward.rows(dtype, config.kvSize());
    dvalue = backward.rows(dtype, config.kvSize());
  }

  /** Prepares a pass of so many tokens. */
  void resize(long tokens, boolean withBackward) {
    forward.resize(tokens);
    if (withBackward) {
      backward.resize(tokens);
    }
  }

  /** Bytes for passes of at most so many tokens. */
  long byteSize(long tokens, boolean withBackward) {
    return forward.byteSize(tokens) + (withBackward ? backward.byteSize(tokens) : 0);
  }

  /** The normalised input of a sublayer, [tokens, hidden]. */
  Tensor normed() {
    return normed.get();
  }

  /** The output of a sublayer, or its gradient, [tokens, hidden]. */
  Tensor output() {
    return output.get();
  }

  /** The input of the down projection, [tokens, intermediate]. */
  Tensor activated() {
    return activated.get();
  }

  /** Gradient of what layers pass on, [tokens, hidden]. */
  Tensor gradient() {
    return gradient.get();
  }

  /** Gradient of {@link #normed}. */
  Tensor dnormed() {
    return dnormed.get();
  }

  /** Gradient of {@link #activated}. */
  Tensor dactivated() {
    return dactivated.get();
  }

  /** Gradient of the output of attention, [tokens, querySize]. */
  Tensor dattended() {
    return dattended.get();
  }

  /** Gradient of queries, [tokens, querySize]. */
  Workspace.Buffer dquery() {
    return dquery;
  }

  /** Gradient of keys, [tokens, kvSize]. */
  Workspace.Buffer dkey() {
    return dkey;
  }

  /** Gradient of values, [tokens, kvSize]. */
  Tensor dvalue() {
    return dvalue.get();
  }

  @Override
  public void close() {
    forward.close();
    backward.close();
  }
}
