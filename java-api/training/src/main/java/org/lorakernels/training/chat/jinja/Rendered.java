package org.lorakernels.training.chat.jinja;

import java.util.List;

/**
 * A rendered template.
 *
 * @param text the text
 * @param generations what {@code {% generation %}} blocks wrote, in order
 * @param generationsAreComplete false where such a block stood in a macro or another buffer, whose
 *     place in the text cannot be told
 */
public record Rendered(String text, List<Span> generations, boolean generationsAreComplete) {
  /**
   * A part of the text.
   *
   * @param start index of its first character (UTF-16)
   * @param end index after its last
   */
  public record Span(int start, int end) {}
}
