package org.lorakernels.training.data;

import java.util.Collection;
import java.util.List;

/** The shapes of examples that files have, by the names of their fields. */
public enum DataShape {
  /** {@code {"input_ids": [...], "labels": [...]}}; labels and attention_mask may be missing. */
  TOKENS(List.of("input_ids")),
  /** OpenAI: {@code {"messages": [{"role": ..., "content": ...}, ...], "tools": [...]}}. */
  MESSAGES(List.of("messages")),
  /** ShareGPT: {@code {"conversations": [{"from": ..., "value": ...}, ...], "tools": "..."}}. */
  SHAREGPT(List.of("conversations")),
  /** {@code {"prompt": ..., "completion": ...}}: two strings, or two lists of messages. */
  PROMPT_COMPLETION(List.of("prompt", "completion")),
  /** {@code {"instruction": ..., "input": ..., "output": ...}}; the input may be missing. */
  ALPACA(List.of("instruction", "output")),
  /** {@code {"text": ...}}. */
  TEXT(List.of("text"));

  private final List<String> fields;

  DataShape(List<String> fields) {
    this.fields = fields;
  }

  /** The fields that an example of this shape must have. */
  public List<String> fields() {
    return fields;
  }

  /**
   * The first shape whose fields are all there.
   *
   * @param fields names of the fields of an example
   * @return the shape; null where none fits
   */
  public static DataShape detect(Collection<String> fields) {
    for (DataShape shape : values()) {
      if (fields.containsAll(shape.fields)) {
        return shape;
      }
    }
    return null;
  }
}
