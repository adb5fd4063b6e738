package org.lorakernels.training.evaluation;

import java.util.List;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.data.Collator;
import org.lorakernels.training.data.EncodedExample;

/** Scores sequences batch by batch. */
final class SequenceScorer {
  private final TokenScorer model;
  private final int batchSize;
  private final EvaluationListener listener;

  /**
   * A scorer.
   *
   * @param batchSize sequences that go through the model together
   */
  SequenceScorer(TokenScorer model, int batchSize, EvaluationListener listener) {
    this.model = model;
    this.batchSize = batchSize;
    this.listener = listener;
  }

  /** Gets the losses of a sequence, one after the other. */
  @FunctionalInterface
  interface Losses {
    /**
     * Takes the losses of a sequence.
     *
     * @param index of the sequence
     * @param losses of all sequences of its batch
     * @param offset of its first token in them
     */
    void accept(int index, float[] losses, int offset);
  }

  void score(List<EncodedExample> sequences, Losses losses) {
    for (int from = 0; from < sequences.size(); from += batchSize) {
      int to = Math.min(from + batchSize, sequences.size());
      Batch batch = Collator.ragged(sequences.subList(from, to));
      float[] values = score(batch, from, to);
      int[] offsets = batch.offsets();
      requireFinite(values, offsets, from);
      for (int s = from; s < to; s++) {
        losses.accept(s, values, offsets[s - from]);
      }
      listener.progress(to, sequences.size());
    }
  }

  private float[] score(Batch batch, int from, int to) {
    try {
      return model.tokenLosses(batch);
    } catch (InvalidArgumentException e) {
      throw new InvalidArgumentException(
          "evaluate: sequences "
              + (from + 1)
              + " ... "
              + to
              + ": "
              + e.getMessage()
              + "; were they encoded for another model?");
    }
  }

  private static void requireFinite(float[] losses, int[] offsets, int firstSequence) {
    for (int s = 1; s < offsets.length; s++) {
      for (int i = offsets[s - 1]; i < offsets[s]; i++) {
        if (!Float.isFinite(losses[i])) {
          throw new LoraKernelsException(
              "evaluate: the loss at token "
                  + (i - offsets[s - 1])
                  + " of sequence "
                  + (firstSequence + s)
                  + " is "
                  + losses[i]
                  + ", expected a number; the weights are damaged, or the compute dtype overflows"
                  + " (try F32)");
        }
      }
    }
  }
}
