package org.lorakernels.training.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.lorakernels.Tensor;
import org.lorakernels.training.data.Batch;

/**
 * From rows to labels: row i of a pass predicts token i + 1 of its sequence, so what is computed
 * for row i belongs to the label at i + 1.
 */
final class Labels {
  private Labels() {}

  private interface Visitor {
    void visit(int label, int row);
  }

  /** Visits the labels that count, first to last, with the rows that predict them. */
  private static void forEach(Batch batch, Visitor visitor) {
    int[] labels = batch.labels();
    int[] offsets = batch.offsets();
    for (int s = 0; s < batch.sequences(); s++) {
      for (int i = offsets[s] + 1; i < offsets[s + 1]; i++) {
        if (labels[i] != Batch.IGNORED) {
          visitor.visit(i, i - 1);
        }
      }
    }
  }

  /** The sum of the losses of rows, each times the weight of its label, in the order of tokens. */
  static double weightedSum(Batch batch, Tensor rowLosses) {
    float[] losses = rowLosses.toFloatArray();
    float[] weights = batch.weights();
    double[] sum = new double[1];
    forEach(
        batch,
        (label, row) -> sum[0] += (double) losses[row] * (weights == null ? 1 : weights[label]));
    return sum[0];
  }

  /** The losses at their labels, 0 elsewhere: [tokens]. */
  static float[] losses(Batch batch, Tensor rowLosses) {
    float[] losses = rowLosses.toFloatArray();
    float[] atLabels = new float[losses.length];
    forEach(batch, (label, row) -> atLabels[label] = losses[row]);
    return atLabels;
  }

  /** The predicted ids at their labels, -1 elsewhere: [tokens]. */
  static int[] predictions(Batch batch, Tensor rowPredictions) {
    int tokens = batch.tokens();
    ByteBuffer ids = ByteBuffer.allocateDirect(tokens * Integer.BYTES);
    rowPredictions.copyTo(ids);
    ids.flip().order(ByteOrder.nativeOrder());
    int[] atLabels = new int[tokens];
    Arrays.fill(atLabels, -1);
    forEach(batch, (label, row) -> atLabels[label] = ids.getInt(row * Integer.BYTES));
    return atLabels;
  }
}
