package org.lorakernels.training.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Tensor;
import org.lorakernels.training.data.Batch;

/**
 * What one pass over tokens reads beside activations: ids, positions, which rows are a sequence,
 * and, in generation, the keys and values of earlier tokens. Buffers are used again by the next
 * pass.
 */
final class Pass implements AutoCloseable {
  private final Device device;
  private final Workspace workspace;
  private final Workspace.Buffer ids;
  private final Workspace.Buffer positions;
  private final Workspace.Buffer labels;
  private final Workspace.Buffer weights;
  private Tensor sequences; // I32 [capacity, 4]
  private Tensor currentSequences;
  private ByteBuffer staging = direct(0);
  private KvCache cache;
  private boolean weighted;
  private int longest;

  Pass(Device device) {
    this.device = device;
    workspace = new Workspace(device);
    ids = workspace.vector(DType.I32, 1);
    positions = workspace.vector(DType.I32, 1);
    labels = workspace.vector(DType.I32, 1);
    weights = workspace.vector(DType.F32, 1);
  }

  /** Prepares a pass over a batch. */
  void set(Batch batch) {
    int tokens = batch.tokens();
    if (tokens == 0) {
      throw new InvalidArgumentException("model: a batch must have tokens, but is empty");
    }
    int[] offsets = batch.offsets();
    cache = null;
    workspace.resize(tokens);
    upload(ids.get(), batch.inputIds());
    int[] position = new int[tokens];
    int[] rows = new int[4 * batch.sequences()];
    longest = 0;
    for (int s = 0; s < batch.sequences(); s++) {
      int length = offsets[s + 1] - offsets[s];
      for (int i = 0; i < length; i++) {
        position[offsets[s] + i] = i;
      }
      putSequence(rows, s, offsets[s], length, offsets[s], length);
      longest = Math.max(longest, length);
    }
    upload(positions.get(), position);
    uploadSequences(rows);
    upload(labels.get(), shifted(batch.labels(), offsets));
    weighted = batch.weights() != null;
    if (weighted) {
      weights.get().copyFrom(shifted(batch.weights(), offsets));
    }
  }

  /** Prepares a pass over tokens that follow those of a cache. */
  void set(int[] newIds, KvCache target) {
    int past = target.length();
    cache = target;
    workspace.resize(newIds.length);
    upload(ids.get(), newIds);
    int[] position = new int[newIds.length];
    for (int i = 0; i < position.length; i++) {
      position[i] = past + i;
    }
    upload(positions.get(), position);
    int[] rows = new int[4];
    putSequence(rows, 0, 0, newIds.length, 0, past + newIds.length);
    uploadSequences(rows);
    longest = past + newIds.length;
    weighted = false;
  }

  private static void putSequence(
      int[] rows, int sequence, int query, int queries, int key, int keys) {
    rows[4 * sequence] = query;
    rows[4 * sequence + 1] = queries;
    rows[4 * sequence + 2] = key;
    rows[4 * sequence + 3] = keys;
  }

  /** Row i predicts the label at i + 1 of its sequence; the last row predicts none. */
  private static int[] shifted(int[] labels, int[] offsets) {
    int[] targets = new int[labels.length];
    System.arraycopy(labels, 1, targets, 0, labels.length - 1);
    for (int s = 1; s < offsets.length; s++) {
      targets[offsets[s] - 1] = Batch.IGNORED;
    }
    return targets;
  }

  private static float[] shifted(float[] weights, int[] offsets) {
    float[] targets = new float[weights.length];
    System.arraycopy(weights, 1, targets, 0, weights.length - 1);
    for (int s = 1; s < offsets.length; s++) {
      targets[offsets[s] - 1] = 0;
    }
    return targets;
  }

  private void uploadSequences(int[] rows) {
    long count = rows.length / 4;
    if (sequences == null || sequences.rows() < count) {
      closeSequences();
      sequences = Tensor.zeros(device, DType.I32, count, 4);
    }
    if (currentSequences == null || currentSequences.rows() != count) {
      if (currentSequences != null) {
        currentSequences.close();
      }
      currentSequences = sequences.slice(0, count);
    }
    upload(currentSequences, rows);
  }

  private void upload(Tensor target, int[] values) {
    if (staging.capacity() < values.length * Integer.BYTES) {
      staging = direct(values.length * Integer.BYTES);
    }
    staging.clear().limit(values.length * Integer.BYTES);
    staging.asIntBuffer().put(values);
    target.copyFrom(staging);
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
  }

  long tokens() {
    return ids.get().cols();
  }

  /** Length of the longest sequence, what is cached included. */
  int longest() {
    return longest;
  }

  /** I32 [1, tokens]. */
  Tensor ids() {
    return ids.get();
  }

  /** I32 [1, tokens], counted from 0 in each sequence. */
  Tensor positions() {
    return positions.get();
  }

  /** I32 [sequences, 4], as attention takes them. */
  Tensor sequences() {
    return currentSequences;
  }

  /** I32 [1, tokens]: what each row shall predict; negative: nothing. */
  Tensor labels() {
    return labels.get();
  }

  /** F32 [1, tokens], of {@link #labels}; null: all 1. */
  Tensor weights() {
    return weighted ? weights.get() : null;
  }

  /** Where keys and values go; null: only this pass needs them. */
  KvCache cache() {
    return cache;
  }

  private void closeSequences() {
    if (currentSequences != null) {
      currentSequences.close();
      currentSequences = null;
    }
    if (sequences != null) {
      sequences.close();
      sequences = null;
    }
  }

  @Override
  public void close() {
    workspace.close();
    closeSequences();
  }
}
