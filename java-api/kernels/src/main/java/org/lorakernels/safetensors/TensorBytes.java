package org.lorakernels.safetensors;

import org.lorakernels.Tensor;

/** Walks through the bytes of a contiguous tensor in pieces that fit a buffer. */
final class TensorBytes {
  /** Bytes of a piece: large enough that a call per piece costs nothing, small enough to keep. */
  static final int CHUNK = 8 << 20;

  /** Takes one piece. */
  interface Visitor {
    /**
     * Takes the elements that start at byte {@code from} of the tensor.
     *
     * @param part shares the tensor's memory; closed by the walk
     * @param length bytes of the piece, at most {@link #CHUNK}
     */
    void visit(Tensor part, long from, int length);
  }

  private TensorBytes() {}

  /** Visits all of {@code tensor}, which is contiguous, from the first byte to the last. */
  static void forEachChunk(Tensor tensor, Visitor visitor) {
    if (tensor.elementCount() == 0) {
      return;
    }
    int elementBytes = tensor.dtype().bytes();
    long elements = tensor.elementCount();
    long step = CHUNK / elementBytes;
    try (Tensor column = tensor.view(elements, 1)) {
      for (long from = 0; from < elements; from += step) {
        long to = Math.min(from + step, elements);
        try (Tensor part = column.slice(from, to)) {
          visitor.visit(part, from * elementBytes, (int) (to - from) * elementBytes);
        }
      }
    }
  }
}
