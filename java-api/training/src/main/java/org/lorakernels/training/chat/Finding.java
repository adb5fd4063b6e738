package org.lorakernels.training.chat;

/**
 * Something that a template validator found.
 *
 * @param severity how bad it is
 * @param code what it is
 * @param message what was expected, what is there, what to do
 */
public record Finding(Severity severity, Code code, String message) {
  /** How bad a finding is. */
  public enum Severity {
    /** Worth knowing. */
    NOTE,
    /** Probably not meant. */
    WARNING,
    /** Training on it would teach the wrong thing. */
    ERROR
  }

  /** What a finding is about. */
  public enum Code {
    /** The template refuses a plain conversation, or the one at hand. */
    REFUSED,
    /** Messages are not in an order that models know. */
    ROLES_OUT_OF_ORDER,
    /** The generation prompt does not lead to what the assistant's messages begin with. */
    MISSING_GENERATION_PROMPT,
    /** BOS is written twice, or both by the template and by the tokenizer. */
    DOUBLE_BOS,
    /** The template writes special tokens that the tokenizer does not have. */
    WRONG_FAMILY,
    /** What the assistant says does not come out as it was given. */
    CONTENT_CHANGED
  }
}
