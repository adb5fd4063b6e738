package org.lorakernels;

import org.lorakernels.bindings.global.native_kernels;
import org.lorakernels.bindings.lk_cross_entropy;
import org.lorakernels.bindings.lk_tensor;

/**
 * The head of a language model and its loss in one call: logits [tokens, vocabulary] = x * Wᵀ exist
 * in slices of rows alone, which take at most 16 MiB of workspace (one row, where a row needs
 * more).
 *
 * <p>loss[t] = log(Σ over v of exp(z[t, v])) - z[t, label[t]], where z are the logits, or softcap *
 * tanh(logits / softcap).
 *
 * <p>Made with {@link #of}, completed by the other methods, each of which returns this, and run by
 * {@link #run}, as often as wanted. Holds no tensor open between runs. Not for several threads at
 * once.
 */
public final class LinearCrossEntropy {
  private static final String OPERATION = "linearCrossEntropy";

  private final Tensor x;
  private final Weight head;
  private final Tensor labels;
  private final Tensor loss;
  private Tensor weights;
  private Tensor dx;
  private Tensor dweight;
  private Tensor predictions;
  private final lk_cross_entropy descriptor =
      new lk_cross_entropy(NativeLibrary.descriptorMemory(lk_cross_entropy.class, 1));

  private LinearCrossEntropy(Tensor x, Weight head, Tensor labels, Tensor loss) {
    this.x = x;
    this.head = head;
    this.labels = labels;
    this.loss = loss;
    descriptor.gradient_scale(1f);
  }

  /**
   * The losses of tokens, without gradients unless they are asked for.
   *
   * @param x [tokens, hidden], F32, BF16 or F16: the normalised outputs of the last layer
   * @param head [vocabulary, hidden], dense or in 4 bits
   * @param labels I32 [tokens], each in [0, vocabulary), or negative: ignored
   * @param loss F32 [tokens], written; 0 where ignored
   */
  public static LinearCrossEntropy of(Tensor x, Weight head, Tensor labels, Tensor loss) {
    return new LinearCrossEntropy(x, head, labels, loss);
  }

  /**
   * Factors of the gradients of single tokens; losses are not scaled.
   *
   * @param value F32 [tokens]; null: all 1
   */
  public LinearCrossEntropy weights(Tensor value) {
    weights = value;
    return this;
  }

  /**
   * Caps the logits softly, as Gemma 2 does (arXiv:2408.00118).
   *
   * @param value above 0; 0: no cap
   */
  public LinearCrossEntropy softcap(float value) {
    descriptor.softcap(value);
    return this;
  }

  /**
   * The factor of all gradients.
   *
   * @param value finite; 1 unless set; 1 / labelled tokens gives the gradients of the mean
   */
  public LinearCrossEntropy gradientScale(float value) {
    descriptor.gradient_scale(value);
    return this;
  }

  /**
   * Asks for the gradient of x.
   *
   * @param value shape and dtype of x, overwritten; null: not wanted
   */
  public LinearCrossEntropy dx(Tensor value) {
    dx = value;
    return this;
  }

  /**
   * Asks for the gradient of the head.
   *
   * @param value F32 [vocabulary, hidden], added to; null: not wanted
   */
  public LinearCrossEntropy dweight(Tensor value) {
    dweight = value;
    return this;
  }

  /**
   * Asks for the most probable ids, the lowest of equals; -1 where the label is ignored.
   *
   * @param value I32 [tokens], written; null: not wanted
   */
  public LinearCrossEntropy predictions(Tensor value) {
    predictions = value;
    return this;
  }

  /**
   * Writes the losses, and what was asked for.
   *
   * @throws ShapeMismatchException where shapes do not fit
   * @throws InvalidArgumentException for dtypes, mixed devices, labels beyond the vocabulary, and
   *     outputs that share memory with an input
   */
  public void run() {
    try (Operation op =
        Operation.on(x.device(), OPERATION)
            .uses("x", x)
            .uses("head", head)
            .uses("labels", labels)
            .uses("loss", loss)
            .uses("weights", weights)
            .uses("dx", dx)
            .uses("dweight", dweight)
            .uses("predictions", predictions)) {
      descriptor.x(x.descriptor()).weight(Operation.weightDescriptor(head));
      descriptor.labels(labels.descriptor()).loss(loss.descriptor());
      descriptor.weights(orNone(weights)).dx(orNone(dx));
      descriptor.dweight(orNone(dweight)).predictions(orNone(predictions));
      op.check(native_kernels.lk_linear_cross_entropy(op.handle(), descriptor));
    }
  }

  private static lk_tensor orNone(Tensor tensor) {
    return tensor == null ? Absent.DESCRIPTOR : tensor.descriptor();
  }

  /** A descriptor with data 0: an argument that is not given. */
  private static final class Absent {
    static final lk_tensor DESCRIPTOR =
        new lk_tensor(NativeLibrary.descriptorMemory(lk_tensor.class, 1));
  }
}
