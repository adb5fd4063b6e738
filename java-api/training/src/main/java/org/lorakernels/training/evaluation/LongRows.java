package org.lorakernels.training.evaluation;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.data.EncodedExample;

/**
 * Fits rows into sequences of a greatest length. A longer row is either cut, or seen through
 * windows:
 *
 * <pre>
 *   row      B a b c d e f g h i       length 4, stride 2, BOS = B
 *   window 1 B a b c                   scores a b c
 *   window 2 B c d e                   scores d e
 *   window 3 B e f g                   scores f g     ...
 * </pre>
 *
 * <p>Every token is scored once, by the first window that holds it. A row's BOS begins every
 * window, since models that were trained with one predict badly without. A stride of length - 1 is
 * the cheapest: windows share no token but BOS (or, without BOS, one token of context).
 */
final class LongRows {
  private final int maxLength;
  private final int stride;
  private final Integer bosId;
  private int truncatedRows;
  private long droppedTokens;

  /**
   * A rule.
   *
   * @param maxLength the most tokens of a sequence, 2 or more
   * @param stride tokens from window to window, 1 ... maxLength - 1; 0: long rows are cut
   * @param bosId the token that begins rows; null: none does
   */
  LongRows(int maxLength, int stride, Integer bosId) {
    this.maxLength = maxLength;
    this.stride = stride;
    this.bosId = bosId;
  }

  /** Rows that were cut so far. */
  int truncatedRows() {
    return truncatedRows;
  }

  /** Labelled tokens that were lost so far. */
  long droppedTokens() {
    return droppedTokens;
  }

  /** The sequences of a row. */
  List<EncodedExample> fit(EncodedExample row) {
    int length = row.length();
    if (length <= maxLength) {
      return List.of(row);
    }
    if (stride == 0) {
      truncatedRows++;
      for (int i = maxLength; i < length; i++) {
        droppedTokens += weight(row, i) > 0 ? 1 : 0;
      }
      return List.of(slice(row, 0, maxLength));
    }
    int bos = bosId != null && row.inputIds()[0] == bosId ? 1 : 0;
    List<EncodedExample> windows = new ArrayList<>();
    windows.add(slice(row, 0, maxLength));
    int scored = maxLength;
    for (int from = bos + stride; scored < length; from += stride) {
      int to = Math.min(from + maxLength - bos, length);
      EncodedExample window = slice(row, from - bos, to);
      if (bos == 1) {
        window.inputIds()[0] = bosId;
      }
      Arrays.fill(window.labels(), 0, scored - (from - bos), Batch.IGNORED);
      windows.add(window);
      scored = to;
    }
    return windows;
  }

  /** What the loss of a token counts; 0 where it is not scored. */
  static double weight(EncodedExample row, int position) {
    return row.labels()[position] == Batch.IGNORED
        ? 0
        : row.weights() == null ? 1 : row.weights()[position];
  }

  /** A copy of the tokens from an index to another one, exclusive. */
  private static EncodedExample slice(EncodedExample row, int from, int to) {
    return new EncodedExample(
        Arrays.copyOfRange(row.inputIds(), from, to),
        Arrays.copyOfRange(row.labels(), from, to),
        row.weights() == null ? null : Arrays.copyOfRange(row.weights(), from, to));
  }
}
