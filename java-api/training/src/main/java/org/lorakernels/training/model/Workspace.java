package org.lorakernels.training.model;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Tensor;

/**
 * Buffers for what is computed for each token, sized together. Memory grows to the largest pass and
 * is used again by every other: a pass of at most that many tokens allocates nothing.
 */
final class Workspace implements AutoCloseable {
  /** Capacities are multiples of this, so that passes of about the same size share one. */
  private static final long GRAIN = 16;

  private final Device device;
  private final List<Buffer> buffers = new ArrayList<>();
  private long tokens;
  private long capacity;

  /** Without memory until the first {@link #resize}; {@code device} null: never with memory. */
  Workspace(Device device) {
    this.device = device;
  }

  /** A buffer [tokens, cols]. */
  Buffer rows(DType dtype, long cols) {
    return add(new Buffer(dtype, cols, false));
  }

  /** A buffer [1, tokens * perToken]. */
  Buffer vector(DType dtype, long perToken) {
    return add(new Buffer(dtype, perToken, true));
  }

  private Buffer add(Buffer buffer) {
    buffers.add(buffer);
    if (capacity > 0) {
      buffer.allocate();
      buffer.show();
    }
    return buffer;
  }

  /** Makes room for a pass; what buffers held is lost. */
  void resize(long newTokens) {
    if (newTokens == tokens) {
      return;
    }
    if (newTokens > capacity) {
      buffers.forEach(Buffer::release);
      capacity = rounded(newTokens);
      buffers.forEach(Buffer::allocate);
    }
    tokens = newTokens;
    buffers.forEach(Buffer::show);
  }

  /** Bytes for passes of at most so many tokens. */
  long byteSize(long most) {
    return buffers.stream().mapToLong(b -> b.perToken * b.dtype.bytes()).sum() * rounded(most);
  }

  private static long rounded(long tokens) {
    return (tokens + GRAIN - 1) / GRAIN * GRAIN;
  }

  @Override
  public void close() {
    buffers.forEach(Buffer::release);
    capacity = 0;
    tokens = 0;
  }

  /** Memory for one quantity of every token. */
  final class Buffer {
    private final DType dtype;
    private final long perToken;
    private final boolean vector;
    private Tensor all;
    private Tensor shown;
    private Tensor heads; // made on first use

    private Buffer(DType dtype, long perToken, boolean vector) {
      this.dtype = dtype;
      this.perToken = perToken;
      this.vector = vector;
    }

    private void allocate() {
      all =
          vector
              ? Tensor.zeros(device, dtype, 1, capacity * perToken)
              : Tensor.zeros(device, dtype, capacity, perToken);
    }

    private void show() {
      hide();
      shown = vector ? all.columns(0, tokens * perToken) : all.slice(0, tokens);
    }

    private void hide() {
      for (Tensor view : new Tensor[] {shown, heads}) {
        if (view != null) {
          view.close();
        }
      }
      shown = null;
      heads = null;
    }

    private void release() {
      hide();
      if (all != null) {
        all.close();
        all = null;
      }
    }

    /** The rows of the current pass; valid until the next {@link #resize}. */
    Tensor get() {
      return shown;
    }

    /** {@link #get} as [tokens * heads, headDim]. */
    Tensor byHead(long headDim) {
      if (heads == null) {
        heads = shown.view(tokens * (perToken / headDim), headDim);
      }
      return heads;
    }
  }
}
