package org.lorakernels;

/**
 * A weight W of a linear layer: [rows = out features, cols = in features], dense ({@link Tensor})
 * or in 4 bits ({@link Nf4Tensor}).
 */
public sealed interface Weight extends AutoCloseable permits Tensor, Nf4Tensor {
  /** Out features, N. */
  long rows();

  /** In features, K. */
  long cols();

  /** The device that holds it. */
  Device device();

  /** Size in memory, in bytes. */
  long byteSize();

  /** Dtype of the values: of a dense weight, or of the dense weight that was quantised. */
  DType sourceDtype();

  /** Whether {@link #close} was called. */
  boolean isClosed();

  @Override
  void close();
}
