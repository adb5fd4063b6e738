package org.lorakernels.training.model;

import java.util.function.Consumer;
import org.lorakernels.DType;
import org.lorakernels.LinearCrossEntropy;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;
import org.lorakernels.Weight;

/**
 * The end of a model: the last norm, and the head with the loss, which never holds logits of more
 * than a few tokens.
 */
final class Head implements Resource {
  private final RmsNorm norm;
  private final Nf4Tensor quantized; // null where it is dense
  private final DenseParameter dense; // null where it is quantised; the embedding's where tied
  private final boolean tied;
  private final float softcap;
  private final Scratch scratch;
  private final Workspace workspace;
  private final Workspace.Buffer inverseRms;
  private final Workspace.Buffer losses;
  private final Workspace.Buffer predictions;

  /** What a head is made of: one of {@code quantized} and {@code dense} is null. */
  record Parts(RmsNorm norm, Nf4Tensor quantized, DenseParameter dense, boolean tied) {}

  Head(Parts parts, float softcap, Scratch scratch, Workspace workspace) {
    this.norm = parts.norm;
    this.quantized = parts.quantized;
    this.dense = parts.dense;
    this.tied = parts.tied;
    this.softcap = softcap;
    this.scratch = scratch;
    this.workspace = workspace;
    inverseRms = workspace.vector(DType.F32, 1);
    losses = workspace.vector(DType.F32, 1);
    predictions = workspace.vector(DType.I32, 1);
  }

  private Weight weight() {
    return quantized != null ? quantized : dense.value();
  }

  /**
   * Losses of labelled rows.
   *
   * @param hidden [tokens, hidden], the output of the last layer
   * @param wantPredictions whether {@link #predictions} is filled
   */
  void loss(Pass pass, Tensor hidden, boolean wantPredictions) {
    workspace.resize(pass.tokens());
    norm.forward(hidden, scratch.normed(), null);
    LinearCrossEntropy call =
        LinearCrossEntropy.of(scratch.normed(), weight(), pass.labels(), losses.get())
            .softcap(softcap);
    if (wantPredictions) {
      call.predictions(predictions.get());
    }
    call.run();
  }

  /**
   * The same, and gradients, which are added where weights are trainable.
   *
   * @param gradientScale factor of all gradients
   * @param gradient [tokens, hidden], written: that of {@code hidden}
   */
  void lossAndGradient(Pass pass, Tensor hidden, float gradientScale, Tensor gradient) {
    workspace.resize(pass.tokens());
    norm.forward(hidden, scratch.normed(), inverseRms.get());
    LinearCrossEntropy call =
        LinearCrossEntropy.of(scratch.normed(), weight(), pass.labels(), losses.get())
            .softcap(softcap)
            .gradientScale(gradientScale)
            .dx(scratch.dnormed());
    if (pass.weights() != null) {
      call.weights(pass.weights());
    }
    if (dense != null && dense.isTrainable()) {
      call.dweight(dense.gradient());
    }
    call.run();
    norm.backward(hidden, scratch.dnormed(), inverseRms.get(), false, gradient);
  }

  /** F32 [1, tokens]: the loss of each row; 0 where it is not labelled. */
  Tensor losses() {
    return losses.get();
  }

  /** I32 [1, tokens]: the most probable id after each row. */
  Tensor predictions() {
    return predictions.get();
  }

  /**
   * Logits of all rows.
   *
   * @param hidden [rows, hidden], the output of the last layer
   * @param normed scratch of the same shape
   * @return [rows, vocabulary], to be closed by the caller
   */
  Tensor logits(Tensor hidden, Tensor normed) {
    norm.forward(hidden, normed, null);
    Tensor logits = LoraKernels.matmul(normed, weight());
    if (softcap > 0) {
      TransformerKernels.softcap(logits, softcap, logits);
    }
    return logits;
  }

  boolean isTrainable() {
    return norm.isTrainable() || dense != null && dense.isTrainable();
  }

  void forEachDense(Consumer<DenseParameter> visitor) {
    norm.forEachDense(visitor);
    if (dense != null && !tied) {
      visitor.accept(dense);
    }
  }

  /** The name of the weight where it is in 4 bits; otherwise null. */
  String quantizedName() {
    return quantized == null ? null : WeightNames.HEAD + WeightNames.WEIGHT;
  }

  @Override
  public void close() {
    workspace.close();
  }
}
