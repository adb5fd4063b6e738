package org.lorakernels.training.model;

import java.util.function.Consumer;
import org.lorakernels.Activation;
import org.lorakernels.DType;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;

/** y = down(activation(gate(x)) * up(x)): Shazeer 2020, arXiv:2002.05202. */
final class FeedForward implements Sublayer<FeedForward.Saved> {
  /** What backward needs. */
  static final class Saved {
    private final Workspace.Buffer gate;
    private final Workspace.Buffer up;

    Saved(ModelConfig config, DType dtype, Workspace workspace) {
      gate = workspace.rows(dtype, config.intermediateSize());
      up = workspace.rows(dtype, config.intermediateSize());
    }
  }

  private final Activation activation;
  private final Linear gate;
  private final Linear up;
  private final Linear down;
  private final Scratch scratch;

  FeedForward(Activation activation, Linear gate, Linear up, Linear down, Scratch scratch) {
    this.activation = activation;
    this.gate = gate;
    this.up = up;
    this.down = down;
    this.scratch = scratch;
  }

  @Override
  public void forward(Pass pass, Tensor x, Saved saved, Tensor y) {
    gate.forward(x, saved.gate.get());
    up.forward(x, saved.up.get());
    if (y != null) {
      activate(saved);
      down.forward(scratch.activated(), y);
    }
  }

  private void activate(Saved saved) {
    TransformerKernels.glu(activation, saved.gate.get(), saved.up.get(), scratch.activated());
  }

  @Override
  public void backward(Pass pass, Tensor x, Tensor dy, Saved saved, Tensor partial, Tensor dx) {
    boolean inner = dx != null || gate.isTrainable() || up.isTrainable();
    Tensor dactivated = inner ? scratch.dactivated() : null;
    activate(saved);
    down.backward(scratch.activated(), dy, dactivated);
    if (!inner) {
      return;
    }
    Tensor dgate = saved.gate.get();
    Tensor dup = saved.up.get();
    TransformerKernels.gluBackward(activation, dgate, dup, dactivated, dgate, dup);
    gate.backward(x, dgate, dx);
    up.backward(x, dup, dx == null ? null : partial);
    if (dx != null) {
      TransformerKernels.add(dx, partial, dx);
    }
  }

  @Override
  public boolean isTrainable() {
    return gate.isTrainable() || up.isTrainable() || down.isTrainable();
  }

  @Override
  public void forEachLinear(Consumer<Linear> visitor) {
    visitor.accept(gate);
    visitor.accept(up);
    visitor.accept(down);
  }

  @Override
  public void forEachDense(Consumer<DenseParameter> visitor) {
    forEachLinear(linear -> linear.forEachDense(visitor));
  }
}
