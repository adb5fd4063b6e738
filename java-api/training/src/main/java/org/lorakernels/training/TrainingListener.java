package org.lorakernels.training;

import java.nio.file.Path;

/**
 * Is told how a run goes, on the thread that trains and in the order of events. What a listener
 * throws ends the run.
 */
public interface TrainingListener {
  /**
   * Before the first step.
   *
   * @param firstStep number of the first step, from 1; higher where a run goes on
   * @param totalSteps number of the last step
   */
  default void started(long firstStep, long totalSteps) {}

  /** After every step. */
  default void step(StepMetrics metrics) {}

  /** After every evaluation. */
  default void evaluated(EvaluationMetrics metrics) {}

  /**
   * After a checkpoint was written.
   *
   * @param step steps taken until then
   * @param directory a whole checkpoint
   */
  default void saved(long step, Path directory) {}

  /**
   * Something that whoever runs this should know, in one sentence: a damaged checkpoint that was
   * passed over.
   */
  default void warned(String message) {}

  /** After the last step, once the result is written. */
  default void finished(TrainingResult result) {}
}
