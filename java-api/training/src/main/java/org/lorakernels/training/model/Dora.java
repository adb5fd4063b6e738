package org.lorakernels.training.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraKernels;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;
import org.lorakernels.Weight;
import org.lorakernels.training.model.DoraScratch.Use;

/**
 * The magnitudes of a DoRA layer: Liu et al. 2024, arXiv:2402.09353, as PEFT computes it.
 *
 * <pre>
 *   V = W + scaling * B * A       norm = |V| by rows, a constant in backward       f = magnitude / norm
 *   y = f ∘ (x * Vᵀ) + bias
 *   y = x * Wᵀ + bias - x' * Wᵀ + f ∘ (x' * Vᵀ)     where dropout makes x' of x
 * </pre>
 *
 * What backward needs beside x is computed again. Owns its tensors but not the adapter.
 */
final class Dora implements AutoCloseable {
  private final Tensor magnitude; // [out], type of the adapter
  private final Tensor gradient; // F32 [out]
  private final Tensor gradientRow; // the same as [1, out]
  private final Tensor norms; // F32 [1, out]
  private final Tensor inverseNorms; // F32 [1, out]
  private final Tensor factors; // F32 [1, out]
  private final Tensor factorVector; // the same as [out]
  private final Tensor sums; // F32 [1, out]
  private final DoraScratch scratch;
  private final ByteBuffer host;

  /**
   * Magnitudes of a layer.
   *
   * @param magnitude [out] in the adapter's type, taken over; null: the norms of the weight and its
   *     adapter, so that the layer computes what it did
   * @param weight [out, in]
   * @param adapter of the weight
   * @param scratch shared by all layers of a model
   */
  Dora(Tensor magnitude, Weight weight, LoraAdapter adapter, DoraScratch scratch) {
    long out = weight.rows();
    this.scratch = scratch;
    norms = Tensor.zeros(weight.device(), DType.F32, 1, out);
    inverseNorms = Tensor.zeros(weight.device(), DType.F32, 1, out);
    factors = Tensor.zeros(weight.device(), DType.F32, 1, out);
    factorVector = factors.view(out);
    sums = Tensor.zeros(weight.device(), DType.F32, 1, out);
    gradient = Tensor.zeros(weight.device(), DType.F32, out);
    gradientRow = gradient.view(1, out);
    host = ByteBuffer.allocateDirect((int) (out * Float.BYTES)).order(ByteOrder.nativeOrder());
    TransformerKernels.rowNorms(weight, adapter, norms);
    this.magnitude = magnitude != null ? magnitude : normsIn(adapter.config().dtype());
    refresh(weight, adapter);
  }

  private Tensor normsIn(DType dtype) {
    try (Tensor vector = norms.view(norms.cols())) {
      return vector.to(dtype);
    }
  }

  /** Computes the norms anew: to be called once the adapter or the magnitudes have changed. */
  void refresh(Weight weight, LoraAdapter adapter) {
    TransformerKernels.rowNorms(weight, adapter, norms);
    float[] norm = new float[(int) norms.cols()];
    download(norms).get(norm);
    float[] factor = new float[norm.length];
    factorVector.copyFrom(magnitude); // converts to F32
    download(factorVector).get(factor);
    for (int i = 0; i < norm.length; i++) {
      factor[i] /= norm[i];
      norm[i] = 1 / norm[i];
    }
    upload(norm, inverseNorms);
    upload(factor, factors);
  }

  private FloatBuffer download(Tensor tensor) {
    tensor.copyTo(host.clear());
    return host.flip().asFloatBuffer();
  }

  private void upload(float[] values, Tensor target) {
    host.clear();
    host.asFloatBuffer().put(values);
    target.copyFrom(host);
  }

  /** See {@link Linear#forward}. */
  void forward(Tensor x, Weight weight, Tensor bias, LoraAdapter adapter, Tensor y) {
    if (!drops(adapter)) {
      LoraKernels.fusedForward(x, weight, null, adapter, y);
      TransformerKernels.scaleColumns(y, factors, bias, y);
      return;
    }
    Tensor dropped = scratch.get(Use.DROPPED, x.rows(), weight.cols());
    LoraKernels.dropout(x, adapter, dropped);
    Tensor adapted = adapted(dropped, weight, adapter);
    TransformerKernels.scaleColumns(adapted, factors, null, adapted);
    Tensor plain = scratch.get(Use.PLAIN, x.rows(), weight.rows());
    LoraKernels.matmul(dropped, weight, null, plain);
    TransformerKernels.scale(plain, -1, plain);
    LoraKernels.matmul(x, weight, bias, y);
    TransformerKernels.add(y, plain, y);
    TransformerKernels.add(y, adapted, y);
  }

  /** See {@link Linear#backward}. */
  void backward(Tensor x, Tensor dy, Weight weight, LoraAdapter adapter, Tensor dx) {
    if (!drops(adapter)) {
      backward(x, adapted(x, weight, adapter), dy, weight, adapter, dx);
      return;
    }
    Tensor dropped = scratch.get(Use.DROPPED, x.rows(), weight.cols());
    LoraKernels.dropout(x, adapter, dropped);
    Tensor adapted = adapted(dropped, weight, adapter);
    if (dx == null) {
      withoutDropout(adapter, () -> backward(dropped, adapted, dy, weight, adapter, null));
      return;
    }
    Tensor droppedGradient = scratch.get(Use.DROPPED_GRADIENT, x.rows(), weight.cols());
    withoutDropout(adapter, () -> backward(dropped, adapted, dy, weight, adapter, droppedGradient));
    LoraKernels.matmulTransposed(dy, weight, dx);
    Tensor minus = scratch.get(Use.PLAIN, x.rows(), weight.cols());
    TransformerKernels.scale(dx, -1, minus);
    TransformerKernels.add(droppedGradient, minus, droppedGradient);
    LoraKernels.dropout(droppedGradient, adapter, droppedGradient);
    TransformerKernels.add(dx, droppedGradient, dx);
  }

  /** Gradients of f ∘ (x * Vᵀ); {@code adapted} is x * Vᵀ and is overwritten. */
  private void backward(
      Tensor x, Tensor adapted, Tensor dy, Weight weight, LoraAdapter adapter, Tensor dx) {
    sums.fill(0);
    TransformerKernels.columnSums(dy, adapted, sums);
    TransformerKernels.scaleColumns(sums, inverseNorms, null, sums);
    TransformerKernels.add(gradientRow, sums, gradientRow);
    TransformerKernels.scaleColumns(dy, factors, null, adapted);
    LoraKernels.fusedBackward(x, adapted, weight, adapter, dx);
  }

  /** x * Vᵀ without dropout, in scratch memory. */
  private Tensor adapted(Tensor x, Weight weight, LoraAdapter adapter) {
    Tensor adapted = scratch.get(Use.ADAPTED, x.rows(), weight.rows());
    withoutDropout(adapter, () -> LoraKernels.fusedForward(x, weight, null, adapter, adapted));
    return adapted;
  }

  private static boolean drops(LoraAdapter adapter) {
    return adapter.isTraining() && adapter.config().dropout() > 0;
  }

  private static void withoutDropout(LoraAdapter adapter, Runnable work) {
    boolean training = adapter.isTraining();
    adapter.training(false);
    try {
      work.run();
    } finally {
      adapter.training(training);
    }
  }

  /** The magnitudes, [out]; owned by this object. */
  Tensor magnitude() {
    return magnitude;
  }

  Parameter parameter(String name) {
    return new Parameter(name, magnitude, gradient);
  }

  @Override
  public void close() {
    for (Tensor tensor :
        new Tensor[] {
          magnitude, gradientRow, gradient, norms, inverseNorms, factorVector, factors, sums
        }) {
      tensor.close();
    }
  }
}
