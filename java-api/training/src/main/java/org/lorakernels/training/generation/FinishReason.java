package org.lorakernels.training.generation;

/** Why a continuation ended. */
public enum FinishReason {
  /** A token that ends a sequence was chosen; it is the last id, and no part of the text. */
  END_OF_SEQUENCE,
  /** A stop string came; the text ends before it. */
  STOP_STRING,
  /** The greatest number of new tokens was reached. */
  MAX_NEW_TOKENS,
  /** The model's context is full. */
  CONTEXT_FULL,
  /** The listener asked for it. */
  CANCELLED
}
