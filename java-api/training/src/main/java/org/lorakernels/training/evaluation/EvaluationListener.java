package org.lorakernels.training.evaluation;

/** Follows an evaluation. */
@FunctionalInterface
public interface EvaluationListener {
  /** Follows nothing. */
  EvaluationListener NONE = (done, total) -> {};

  /**
   * So much is done.
   *
   * @param done sequences scored
   * @param total sequences to score
   */
  void progress(int done, int total);
}
