package org.lorakernels.training.memory;

import org.lorakernels.training.model.ModelConfig;

/**
 * Bytes of activations: the same sums as the buffers of the package {@code model}, which a test
 * compares with what a real pass allocates.
 */
final class Activations {
  /** Buffers hold a multiple of so many tokens. */
  private static final int GRAIN = 16;

  /** The F32 numbers of a row: 1 / root mean square, or loss. */
  private static final int SCALAR = Float.BYTES;

  private final ModelConfig model;
  private final long element;

  /**
   * For a model.
   *
   * @param element bytes of an element of the compute type
   */
  Activations(ModelConfig model, int element) {
    this.model = model;
    this.element = element;
  }

  /** Of forward and backward over so many tokens, the longest sequence having {@code longest}. */
  long bytes(long tokens, int longest, boolean checkpointing) {
    long held = (tokens + GRAIN - 1) / GRAIN * GRAIN;
    int layers = model.layers().size();
    long perToken =
        hidden(layers + 1)
            + (checkpointing ? 1 : layers) * savedByLayer()
            + scratch()
            + head()
            + pass();
    return held * perToken + ropeTables(longest);
  }

  private long hidden(long count) {
    return count * model.hiddenSize() * element;
  }

  private long savedByLayer() {
    boolean after = model.architecture().normalizesAfter();
    long attention =
        2L * (model.querySize() + model.kvSize()) * element + (long) model.heads() * SCALAR;
    if (model.architecture().queryKeyNorms()) {
      attention += (long) (model.querySize() + model.kvSize()) * element;
      attention += (long) (model.heads() + model.kvHeads()) * SCALAR;
    }
    long feedForward = 2L * model.intermediateSize() * element;
    long residuals = 2 * (SCALAR + (after ? hidden(1) + SCALAR : 0));
    return attention + feedForward + residuals + hidden(1);
  }

  private long scratch() {
    long forward = hidden(2) + model.intermediateSize() * element;
    long backward =
        hidden(2)
            + model.intermediateSize() * element
            + 2L * (model.querySize() + model.kvSize()) * element;
    return forward + backward;
  }

  /** Inverse norm, loss and prediction of a token. */
  private static long head() {
    return 3L * SCALAR;
  }

  /** Id, position, label and weight of a token. */
  private static long pass() {
    return 4L * Integer.BYTES;
  }

  /** Cosines and sines of every position, for each kind of layer. */
  private long ropeTables(int longest) {
    long kinds = model.layers().stream().map(ModelConfig.LayerAttention::rope).distinct().count();
    return kinds * longest * model.headDim() * Float.BYTES;
  }
}
