package org.lorakernels.training.model;

import java.util.function.Consumer;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;
import org.lorakernels.Weight;

/**
 * y = x * Wᵀ + bias, with or without an adapter. The weight is dense or in 4 bits; it has a
 * gradient only where it is dense and was made trainable.
 */
final class Linear {
  private final String module;
  private final Nf4Tensor quantized; // null where the weight is dense
  private final DenseParameter dense; // null where it is quantised
  private final DenseParameter bias; // null: none
  private LoraAdapter adapter; // null: none; owned by the set of adapters
  private Dora dora; // null: plain LoRA, or no adapter

  /**
   * A layer; what it is given belongs to its model.
   *
   * @param module its name: {@code model.layers.0.self_attn.q_proj}
   * @param quantized [out, in]; null where {@code dense} is not
   * @param dense [out, in]; null where {@code quantized} is not
   * @param bias [out]; null: none
   */
  Linear(String module, Nf4Tensor quantized, DenseParameter dense, DenseParameter bias) {
    this.module = module;
    this.quantized = quantized;
    this.dense = dense;
    this.bias = bias;
  }

  String module() {
    return module;
  }

  Weight weight() {
    return quantized != null ? quantized : dense.value();
  }

  private Tensor biasValue() {
    return bias == null ? null : bias.value();
  }

  /** Puts an adapter on; {@code newDora} null: plain LoRA. */
  void adapt(LoraAdapter newAdapter, Dora newDora) {
    adapter = newAdapter;
    dora = newDora;
  }

  /** Takes the adapter off. */
  void release() {
    adapter = null;
    dora = null;
  }

  /**
   * Computes the layer.
   *
   * @param x [tokens, in]
   * @param y [tokens, out]
   */
  void forward(Tensor x, Tensor y) {
    if (dora != null) {
      dora.forward(x, weight(), biasValue(), adapter, y);
    } else if (adapter != null) {
      LoraKernels.fusedForward(x, weight(), biasValue(), adapter, y);
    } else {
      LoraKernels.matmul(x, weight(), biasValue(), y);
    }
  }

  /**
   * Adds to the gradients of what is trainable.
   *
   * @param x what forward read
   * @param dy gradient of its output
   * @param dx gradient of x, overwritten; null: not wanted
   */
  void backward(Tensor x, Tensor dy, Tensor dx) {
    if (bias != null && bias.isTrainable()) {
      TransformerKernels.columnSums(dy, null, bias.gradient());
    }
    if (dense != null && dense.isTrainable()) {
      TransformerKernels.weightGradient(x, dy, dense.gradient());
    }
    if (dora != null) {
      dora.backward(x, dy, weight(), adapter, dx);
    } else if (adapter != null) {
      LoraKernels.fusedBackward(x, dy, weight(), adapter, dx);
    } else if (dx != null) {
      LoraKernels.matmulTransposed(dy, weight(), dx);
    }
  }

  boolean isTrainable() {
    return adapter != null
        || dense != null && dense.isTrainable()
        || bias != null && bias.isTrainable();
  }

  /** The name of the weight, where it can be trained only through an adapter; otherwise null. */
  String quantizedName() {
    return quantized == null ? null : module + WeightNames.WEIGHT;
  }

  void forEachDense(Consumer<DenseParameter> visitor) {
    if (dense != null) {
      visitor.accept(dense);
    }
    if (bias != null) {
      visitor.accept(bias);
    }
  }
}
