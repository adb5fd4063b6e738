package org.lorakernels.training.data;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A message of a conversation.
 *
 * @param fields what a chat template sees: {@code role}, {@code content} and whatever else there is
 *     ({@code tool_calls}, {@code name}, ...); values as JSON has them
 * @param lossWeight what the loss of its tokens is multiplied by; null: 1 for the assistant, 0 (not
 *     trained on) for the others
 */
public record Message(Map<String, Object> fields, Double lossWeight) {
  /** The role that is trained on. */
  public static final String ASSISTANT = "assistant";

  /** Copies the fields. */
  public Message {
    fields = Collections.unmodifiableMap(new LinkedHashMap<>(fields));
  }

  /** A message of text. */
  public static Message of(String role, String content) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("role", role);
    fields.put("content", content);
    return new Message(fields, null);
  }

  /** The same with the loss weight. */
  public Message withLossWeight(double weight) {
    return new Message(fields, weight);
  }

  /** The same with other text. */
  public Message withContent(String content) {
    Map<String, Object> changed = new LinkedHashMap<>(fields);
    changed.put("content", content);
    return new Message(changed, lossWeight);
  }

  /** Who speaks. */
  public String role() {
    return (String) fields.get("role");
  }

  /** The loss weight that holds, 0 or above. */
  public double effectiveWeight() {
    return lossWeight != null ? lossWeight : role().equals(ASSISTANT) ? 1 : 0;
  }
}
