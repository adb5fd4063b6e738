package org.lorakernels.training.generation;

/** Follows a continuation while it is made. */
@FunctionalInterface
public interface GenerationListener {
  /** Listens to nothing. */
  GenerationListener NONE = piece -> {};

  /**
   * More text is certain: whole characters, no part of a stop string. The pieces, joined, are the
   * text of the {@link Generation}.
   *
   * @param piece not empty
   */
  void text(String piece);

  /** Asked after every token: true ends the continuation. */
  default boolean cancelled() {
    return false;
  }
}
