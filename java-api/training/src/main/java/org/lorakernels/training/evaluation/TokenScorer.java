package org.lorakernels.training.evaluation;

import org.lorakernels.training.data.Batch;

/** What evaluation needs of a model. */
@FunctionalInterface
public interface TokenScorer {
  /**
   * The loss of every labelled token.
   *
   * @param batch sequences with labels
   * @return [tokens], {@code -log p(label | tokens before it in its sequence)}, natural logarithm;
   *     0 where the label is ignored and at the first position of a sequence
   */
  float[] tokenLosses(Batch batch);
}
