package org.lorakernels.training.model;

import java.util.function.Consumer;
import org.lorakernels.Tensor;

/**
 * Attention or a feed-forward network, between the norm before it and the residual connection.
 *
 * @param <S> what forward keeps for backward
 */
interface Sublayer<S> {
  /**
   * Computes it.
   *
   * @param x [tokens, hidden], normalised
   * @param y [tokens, hidden], written; null: not wanted, only what backward needs is computed
   */
  void forward(Pass pass, Tensor x, S saved, Tensor y);

  /**
   * Adds to the gradients of what is trainable.
   *
   * @param x what forward read
   * @param dy gradient of y; used up by the time that {@code partial} is written
   * @param saved what forward kept; used up
   * @param partial scratch [tokens, hidden]; may be dy
   * @param dx gradient of x, written; null: not wanted
   */
  void backward(Pass pass, Tensor x, Tensor dy, S saved, Tensor partial, Tensor dx);

  /** Whether anything in it has a gradient. */
  boolean isTrainable();

  /** Visits its linear layers. */
  void forEachLinear(Consumer<Linear> visitor);

  /** Visits its weights, biases and norms that are dense. */
  void forEachDense(Consumer<DenseParameter> visitor);
}
