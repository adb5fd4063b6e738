package org.lorakernels.training.model;

import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;

/** Vectors of tokens: rows of a table, scaled in some architectures. */
final class Embedding {
  private final DenseParameter table; // [vocabulary, hidden]
  private final float scale;

  /**
   * An embedding.
   *
   * @param scale factor of the rows, rounded to the compute type, as transformers rounds it
   */
  Embedding(DenseParameter table, float scale) {
    this.table = table;
    this.scale = scale;
  }

  /** {@code value} as an element of {@code dtype} has it. */
  static float rounded(Device device, double value, DType dtype) {
    try (Tensor exact = Tensor.of(device, new float[] {(float) value}, 1);
        Tensor narrow = exact.to(dtype)) {
      return narrow.toFloatArray()[0];
    }
  }

  /** out [tokens, hidden] = the rows of ids. */
  void forward(Tensor ids, Tensor out) {
    TransformerKernels.embedding(ids, table.value(), scale, out);
  }

  /** Adds to the gradient of the table where it is trainable. */
  void backward(Tensor ids, Tensor dy) {
    if (table.isTrainable()) {
      TransformerKernels.embeddingBackward(ids, dy, scale, table.gradient());
    }
  }

  boolean isTrainable() {
    return table.isTrainable();
  }
}
