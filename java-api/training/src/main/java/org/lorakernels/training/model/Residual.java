package org.lorakernels.training.model;

import java.util.function.Consumer;
import org.lorakernels.DType;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;

/**
 * out = x + after(sublayer(before(x))): half of a decoder layer. The norm after the sublayer exists
 * in some architectures only.
 *
 * @param <S> what the sublayer keeps for backward
 */
final class Residual<S> {
  /** What backward needs beside x, the input. */
  static final class Saved<S> {
    private final S inner;
    private final Workspace.Buffer inverseRms;
    private final Workspace.Buffer output; // of the sublayer, before its norm; null: no norm
    private final Workspace.Buffer outputInverseRms;

    Saved(ModelConfig config, DType dtype, Workspace workspace, S inner) {
      boolean after = config.architecture().normalizesAfter();
      this.inner = inner;
      inverseRms = workspace.vector(DType.F32, 1);
      output = after ? workspace.rows(dtype, config.hiddenSize()) : null;
      outputInverseRms = after ? workspace.vector(DType.F32, 1) : null;
    }
  }

  private final RmsNorm before;
  private final Sublayer<S> sublayer;
  private final RmsNorm after; // null: none
  private final Scratch scratch;

  Residual(RmsNorm before, Sublayer<S> sublayer, RmsNorm after, Scratch scratch) {
    this.before = before;
    this.sublayer = sublayer;
    this.after = after;
    this.scratch = scratch;
  }

  /**
   * Computes it.
   *
   * @param x [tokens, hidden]
   * @param out [tokens, hidden], written; null: only what backward needs is computed
   */
  void forward(Pass pass, Tensor x, Saved<S> saved, Tensor out) {
    Tensor normed = scratch.normed();
    before.forward(x, normed, saved.inverseRms.get());
    if (after == null) {
      Tensor output = out == null ? null : scratch.output();
      sublayer.forward(pass, normed, saved.inner, output);
    } else {
      sublayer.forward(pass, normed, saved.inner, saved.output.get());
      after.forward(saved.output.get(), scratch.output(), saved.outputInverseRms.get());
    }
    if (out != null) {
      TransformerKernels.add(x, scratch.output(), out);
    }
  }

  /**
   * Adds to the gradients of what is trainable.
   *
   * @param x what forward read
   * @param saved what forward kept; used up
   * @param gradient of the output; becomes that of x
   * @param inputWanted whether that of x is wanted
   */
  void backward(Pass pass, Tensor x, Saved<S> saved, Tensor gradient, boolean inputWanted) {
    Tensor partial = scratch.output();
    Tensor dsublayer = gradient;
    if (after != null) {
      after.backward(saved.output.get(), gradient, saved.outputInverseRms.get(), false, partial);
      dsublayer = partial;
    }
    boolean inner = inputWanted || before.isTrainable();
    if (!inner && !sublayer.isTrainable()) {
      return;
    }
    Tensor normed = scratch.normed();
    before.forward(x, normed, null);
    Tensor dnormed = inner ? scratch.dnormed() : null;
    sublayer.backward(pass, normed, dsublayer, saved.inner, partial, dnormed);
    if (inner) {
      before.backward(
          x, dnormed, saved.inverseRms.get(), inputWanted, inputWanted ? gradient : null);
    }
  }

  boolean isTrainable() {
    return before.isTrainable() || sublayer.isTrainable() || after != null && after.isTrainable();
  }

  void forEachLinear(Consumer<Linear> visitor) {
    sublayer.forEachLinear(visitor);
  }

  void forEachDense(Consumer<DenseParameter> visitor) {
    before.forEachDense(visitor);
    sublayer.forEachDense(visitor);
    if (after != null) {
      after.forEachDense(visitor);
    }
  }
}
