package org.lorakernels.training.model;

import java.util.function.Consumer;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;

/** Root mean square norm of rows: Zhang and Sennrich 2019, arXiv:1910.07467. */
final class RmsNorm {
  private final DenseParameter weight;
  private final float offset;
  private final float epsilon;

  /**
   * A norm.
   *
   * @param weight [features]; owned by this norm's model
   * @param offset added to the weight
   * @param epsilon added to the mean square
   */
  RmsNorm(DenseParameter weight, float offset, float epsilon) {
    this.weight = weight;
    this.offset = offset;
    this.epsilon = epsilon;
  }

  /**
   * Normalises.
   *
   * @param x [rows, features]
   * @param y the same shape; may be x
   * @param inverseRms F32 [1, rows], written, for backward; null: not wanted
   */
  void forward(Tensor x, Tensor y, Tensor inverseRms) {
    TransformerKernels.rmsNorm(x, weight.value(), offset, epsilon, y, inverseRms);
  }

  /**
   * Gradients; that of the weight is added to it where it is trainable.
   *
   * @param x what forward read
   * @param dy gradient of its output
   * @param inverseRms what forward wrote
   * @param accumulate whether to add to {@code dx} instead of writing it
   * @param dx gradient of x; may be dy where it is written; null: not wanted
   */
  void backward(Tensor x, Tensor dy, Tensor inverseRms, boolean accumulate, Tensor dx) {
    if (dx == null && !weight.isTrainable()) {
      return;
    }
    TransformerKernels.rmsNormBackward(
        x, dy, weight.value(), offset, inverseRms, accumulate, dx, weight.gradient());
  }

  boolean isTrainable() {
    return weight.isTrainable();
  }

  void forEachDense(Consumer<DenseParameter> visitor) {
    visitor.accept(weight);
  }
}
