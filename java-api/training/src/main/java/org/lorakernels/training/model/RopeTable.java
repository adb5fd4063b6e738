package org.lorakernels.training.model;

import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;

/** Cosines and sines of all positions used so far; grows to longer sequences. */
final class RopeTable implements Resource {
  private static final int SMALLEST = 64;

  private final Device device;
  private final RopeConfig config;
  private final int headDim;
  private final float[] inverseFrequencies;
  private Tensor cos; // F32 [positions, headDim / 2]; null before the first use
  private Tensor sin;

  RopeTable(Device device, RopeConfig config, int headDim) {
    this.device = device;
    this.config = config;
    this.headDim = headDim;
    this.inverseFrequencies = config.inverseFrequencies(headDim);
  }

  /** Makes sure that positions 0 ... {@code positions} - 1 can be rotated. */
  void require(long positions) {
    if (cos != null && cos.rows() >= positions) {
      return;
    }
    if (config.type() == RopeConfig.Type.DYNAMIC && positions > config.originalPositions()) {
      throw new InvalidArgumentException(
          "model: sequences must have at most "
              + config.originalPositions()
              + " tokens (max_position_embeddings; dynamic scaling beyond it is not computed), but"
              + " one has "
              + positions);
    }
    long rows = Math.max(SMALLEST, cos == null ? positions : Math.max(positions, 2 * cos.rows()));
    close();
    cos = Tensor.zeros(device, DType.F32, rows, inverseFrequencies.length);
    sin = Tensor.zeros(device, DType.F32, rows, inverseFrequencies.length);
    fill((int) rows);
  }

  /** Angles are products in F32, as transformers computes them. */
  private void fill(int rows) {
    int half = inverseFrequencies.length;
    float[] cosines = new float[rows * half];
    float[] sines = new float[rows * half];
    for (int position = 0; position < rows; position++) {
      for (int i = 0; i < half; i++) {
        float angle = position * inverseFrequencies[i];
        cosines[position * half + i] = scaled(Math.cos(angle));
        sines[position * half + i] = scaled(Math.sin(angle));
      }
    }
    cos.copyFrom(cosines);
    sin.copyFrom(sines);
  }

  private float scaled(double value) {
    return (float) value * (float) config.attentionFactor();
  }

  /**
   * Rotates heads in place.
   *
   * @param x [tokens, heads * headDim]
   * @param positions I32 [1, tokens], below what was required
   * @param back whether to rotate back: the gradient
   */
  void rotate(Tensor x, Tensor positions, boolean back) {
    TransformerKernels.rope(x, headDim, positions, cos, sin, back);
  }

  @Override
  public void close() {
    if (cos != null) {
      cos.close();
      cos = null;
    }
    if (sin != null) {
      sin.close();
      sin = null;
    }
  }
}
