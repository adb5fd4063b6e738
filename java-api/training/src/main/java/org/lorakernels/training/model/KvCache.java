package org.lorakernels.training.model;

import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Tensor;

/** Keys and values of the tokens of one sequence, for every layer; a fixed capacity. */
final class KvCache implements AutoCloseable {
  private final Tensor[] keys; // [capacity, kvSize] of each layer, rotated
  private final Tensor[] values; // [capacity, kvSize]
  private final int capacity;
  private int length;

  KvCache(Device device, ModelConfig config, DType dtype, int capacity) {
    int layers = config.layers().size();
    this.capacity = capacity;
    keys = new Tensor[layers];
    values = new Tensor[layers];
    try {
      for (int i = 0; i < layers; i++) {
        keys[i] = Tensor.zeros(device, dtype, capacity, config.kvSize());
        values[i] = Tensor.zeros(device, dtype, capacity, config.kvSize());
      }
    } catch (RuntimeException failure) {
      close();
      throw failure;
    }
  }

  int capacity() {
    return capacity;
  }

  /** Tokens whose keys and values are there. */
  int length() {
    return length;
  }

  void length(int newLength) {
    length = newLength;
  }

  /** [capacity, kvSize]. */
  Tensor keys(int layer) {
    return keys[layer];
  }

  /** [capacity, kvSize]. */
  Tensor values(int layer) {
    return values[layer];
  }

  /** The rows of {@code memory} for tokens that follow; to be closed by the caller. */
  Tensor next(Tensor memory, long tokens) {
    return memory.slice(length, length + tokens);
  }

  @Override
  public void close() {
    for (Tensor[] tensors : new Tensor[][] {keys, values}) {
      for (Tensor tensor : tensors) {
        if (tensor != null) {
          tensor.close();
        }
      }
    }
  }
}
