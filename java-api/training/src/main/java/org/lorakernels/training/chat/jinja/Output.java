package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.List;

/** Where a body writes: the text of the template, or a buffer whose text becomes a value. */
final class Output {
  private final StringBuilder text = new StringBuilder();
  private final boolean isBuffer;
  private final List<Rendered.Span> generations = new ArrayList<>();

  Output(boolean isBuffer) {
    this.isBuffer = isBuffer;
  }

  void append(String part) {
    text.append(part);
  }

  /** Appends what the assistant said; false where it is in a buffer, so that its place is lost. */
  boolean appendGeneration(String part) {
    if (!isBuffer) {
      generations.add(new Rendered.Span(text.length(), text.length() + part.length()));
    }
    text.append(part);
    return !isBuffer;
  }

  List<Rendered.Span> generations() {
    return generations;
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
