package org.lorakernels.training.model;

import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Tensor;

/**
 * Memory that all {@link Dora} layers of a model use one after the other: grows to the largest, and
 * keeps the views of the current number of tokens.
 */
final class DoraScratch implements AutoCloseable {
  /** What a piece of it is for. */
  enum Use {
    /** The input after dropout. */
    DROPPED,
    /** The gradient of that. */
    DROPPED_GRADIENT,
    /** The output of weight and adapter, before magnitudes. */
    ADAPTED,
    /** The output of the weight alone, or a gradient. */
    PLAIN
  }

  private final Device device;
  private final DType dtype;
  private final Map<Use, Piece> pieces = new EnumMap<>(Use.class);

  DoraScratch(Device device, DType dtype) {
    this.device = device;
    this.dtype = dtype;
  }

  /** A matrix [rows, cols] with any content, until the next call for the same use. */
  Tensor get(Use use, long rows, long cols) {
    return pieces.computeIfAbsent(use, key -> new Piece()).get(rows, cols);
  }

  private final class Piece {
    private final Map<Long, Tensor> views = new HashMap<>(); // by columns
    private Tensor memory; // [elements]
    private long rows;

    Tensor get(long newRows, long cols) {
      if (memory == null || memory.cols() < newRows * cols) {
        close();
        memory = Tensor.zeros(device, dtype, newRows * cols);
      }
      if (rows != newRows) {
        forget();
        rows = newRows;
      }
      return views.computeIfAbsent(cols, this::view);
    }

    private Tensor view(long cols) {
      try (Tensor part = memory.columns(0, rows * cols)) {
        return part.view(rows, cols);
      }
    }

    private void forget() {
      views.values().forEach(Tensor::close);
      views.clear();
    }

    void close() {
      forget();
      if (memory != null) {
        memory.close();
        memory = null;
      }
    }
  }

  @Override
  public void close() {
    pieces.values().forEach(Piece::close);
    pieces.clear();
  }
}
