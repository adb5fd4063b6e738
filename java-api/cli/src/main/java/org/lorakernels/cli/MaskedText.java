package org.lorakernels.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.data.Tokenizer;

/** A sequence of a batch as text, cut where training on it begins and ends. */
final class MaskedText {
  private static final String DIM = "\u001B[2m";
  private static final String NORMAL = "\u001B[22m";

  private MaskedText() {}

  /**
   * A part of a sequence.
   *
   * @param text what its tokens say
   * @param trained whether they are trained on
   * @param weight of their loss
   */
  record Part(String text, boolean trained, float weight) {}

  /** The parts of sequence {@code s}; without a tokenizer (null) the texts are ids. */
  static List<Part> parts(Batch batch, int s, Tokenizer tokenizer) {
    int[] ids = batch.inputIds();
    int[] labels = batch.labels();
    float[] weights = batch.weights();
    int begin = batch.offsets()[s];
    int end = batch.offsets()[s + 1];
    List<Part> parts = new ArrayList<>();
    int from = begin;
    for (int i = begin + 1; i <= end; i++) {
      boolean ends =
          i == end
              || trained(labels, from, begin) != trained(labels, i, begin)
              || (weights != null && weights[from] != weights[i]);
      if (ends) {
        String text =
            tokenizer == null ? spelled(ids, from, i) : decoded(tokenizer, ids, begin, from, i);
        parts.add(
            new Part(text, trained(labels, from, begin), weights == null ? 1 : weights[from]));
        from = i;
      }
    }
    return parts;
  }

  /** The first token of a sequence is never predicted. */
  private static boolean trained(int[] labels, int i, int begin) {
    return i > begin && labels[i] != Batch.IGNORED;
  }

  private static String spelled(int[] ids, int from, int to) {
    StringBuilder text = new StringBuilder();
    for (int i = from; i < to; i++) {
      text.append(' ').append(ids[i]);
    }
    return text.toString();
  }

  /** What the tokens add to the text before them: a token alone may lose its leading blank. */
  private static String decoded(Tokenizer tokenizer, int[] ids, int begin, int from, int to) {
    String before = tokenizer.decode(Arrays.copyOfRange(ids, begin, from));
    String all = tokenizer.decode(Arrays.copyOfRange(ids, begin, to));
    return all.startsWith(before)
        ? all.substring(before.length())
        : tokenizer.decode(Arrays.copyOfRange(ids, from, to));
  }

  /** Masked parts dimmed, or in double brackets where the terminal cannot. */
  static String marked(List<Part> parts, boolean dim) {
    StringBuilder text = new StringBuilder();
    for (Part part : parts) {
      if (part.trained()) {
        text.append(part.text());
      } else {
        text.append(dim ? DIM : "[[").append(part.text()).append(dim ? NORMAL : "]]");
      }
    }
    return text.toString();
  }
}
