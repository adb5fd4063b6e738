package org.lorakernels.training.chat;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.chat.jinja.JinjaException;
import org.lorakernels.training.chat.jinja.Rendered;
import org.lorakernels.training.data.Example;
import org.lorakernels.training.data.Message;

/**
 * Finds the messages that are trained on in the text of a conversation.
 *
 * <p>Where the template marks them ({@code {% generation %}}), that holds. Otherwise a message
 * reaches from the end of the conversation before it, rendered with the generation prompt, to the
 * end of the conversation up to it, with whatever ends a turn. A template that renders a message
 * otherwise once others follow (thoughts that it drops) has no such prefixes; there the message is
 * what is left of its end, or is found by rendering the conversation with other content in its
 * place.
 */
public final class TurnFinder {
  /** Contents to put in place of another; no character of one is at the same end of the other. */
  private static final List<String> STAND_INS = List.of("xq7Zx", "Yw4Ky");

  private final ChatTemplate template;

  /** Over the template of a model. */
  public TurnFinder(ChatTemplate template) {
    this.template = template;
  }

  /**
   * Part of a text.
   *
   * @param start index of its first character (UTF-16)
   * @param end index after its last
   * @param weight of its loss, above 0
   */
  public record Turn(int start, int end, double weight) {}

  /**
   * A conversation as text.
   *
   * @param text the whole conversation
   * @param turns the parts that are trained on, in order
   */
  public record Turns(String text, List<Turn> turns) {}

  /**
   * Renders a conversation and finds what is trained on.
   *
   * @param conversation what was said
   * @return its text and the messages with a loss weight above 0
   * @throws JinjaException if the template refuses the conversation
   * @throws InvalidArgumentException if a message cannot be found in the text
   */
  public Turns find(Example.Conversation conversation) {
    List<Message> messages = conversation.messages();
    Rendered rendered = template.render(messages, conversation.tools(), false);
    List<Turn> turns = marked(messages, rendered);
    if (turns == null) {
      turns = new ArrayList<>();
      for (int i = 0; i < messages.size(); i++) {
        if (messages.get(i).effectiveWeight() > 0) {
          turns.add(turn(conversation, i, rendered.text()));
        }
      }
    }
    return new Turns(rendered.text(), turns);
  }

  /** The turns that the template marks; null where it does not, or marks not one a message. */
  private static List<Turn> marked(List<Message> messages, Rendered rendered) {
    List<Message> assistant =
        messages.stream().filter(message -> message.role().equals(Message.ASSISTANT)).toList();
    boolean others =
        messages.stream()
            .anyMatch(
                message ->
                    message.effectiveWeight() > 0 && !message.role().equals(Message.ASSISTANT));
    if (others
        || !rendered.generationsAreComplete()
        || rendered.generations().size() != assistant.size()
        || assistant.isEmpty()) {
      return null;
    }
    List<Turn> turns = new ArrayList<>();
    for (int i = 0; i < assistant.size(); i++) {
      Rendered.Span span = rendered.generations().get(i);
      if (assistant.get(i).effectiveWeight() > 0) {
        turns.add(new Turn(span.start(), span.end(), assistant.get(i).effectiveWeight()));
      }
    }
    return turns;
  }

  private Turn turn(Example.Conversation conversation, int index, String text) {
    Message message = conversation.messages().get(index);
    String before = prefix(conversation, index, message.role().equals(Message.ASSISTANT));
    String upTo = prefix(conversation, index + 1, false);
    int start = before != null && text.startsWith(before) ? before.length() : -1;
    int end = upTo != null && text.startsWith(upTo) ? upTo.length() : -1;
    if (start >= 0 && end <= start && upTo != null && upTo.startsWith(before)) {
      end = endOfShortened(message, text, start, upTo);
    }
    if (start < 0 || end <= start) {
      int[] content = content(conversation, index, text);
      start = start < 0 ? content[0] : start;
      end = content[1] + tail(conversation, index, text, content[1]);
    }
    return new Turn(start, end, message.effectiveWeight());
  }

  /**
   * Where a message ends whose text, once others follow, has lost its beginning (thoughts): then
   * what stands from {@code start} on is how {@code upTo} ends. Negative where it is not so.
   */
  private static int endOfShortened(Message message, String text, int start, String upTo) {
    for (int from = start; from < upTo.length(); from++) {
      if (text.startsWith(upTo.substring(from), start)) {
        String rest = upTo.substring(from);
        return rest.contains(lastWords(message)) ? start + rest.length() : -1;
      }
    }
    return -1;
  }

  /** What the text of a message must hold: how its content ends, or the name of its last call. */
  private static String lastWords(Message message) {
    if (message.fields().get("content") instanceof String content && !content.isBlank()) {
      String[] lines = content.strip().split("\n");
      return lines[lines.length - 1].strip();
    }
    String calls = String.valueOf(message.fields().get("tool_calls"));
    int name = calls.lastIndexOf("name=");
    return name < 0 ? calls : calls.substring(name + 5).split("[,}\\]]", 2)[0];
  }

  /** The first {@code count} messages as text; null where the template refuses them. */
  private String prefix(Example.Conversation conversation, int count, boolean prompted) {
    try {
      List<Message> messages = conversation.messages().subList(0, count);
      return template.render(messages, conversation.tools(), prompted).text();
    } catch (JinjaException e) {
      return null; // there are templates that begin with the user only: another way is taken
    }
  }

  /** Start and end of the content of a message, as rendered in the whole text. */
  private int[] content(Example.Conversation conversation, int index, String text) {
    int start = text.length();
    int after = text.length();
    for (String standIn : STAND_INS) {
      String other = replaced(conversation, conversation.messages().size(), index, standIn);
      int shortest = Math.min(text.length(), other.length());
      int same = 0;
      while (same < shortest && text.charAt(same) == other.charAt(same)) {
        same++;
      }
      int sameEnd = 0;
      while (sameEnd < shortest
          && text.charAt(text.length() - 1 - sameEnd)
              == other.charAt(other.length() - 1 - sameEnd)) {
        sameEnd++;
      }
      if (!other.contains(standIn)) {
        throw lost(index);
      }
      start = Math.min(start, same);
      after = Math.min(after, sameEnd);
    }
    if (start > text.length() - after) {
      throw lost(index);
    }
    return new int[] {start, text.length() - after};
  }

  /** How many characters after the content still belong to the message: what ends a turn. */
  private int tail(Example.Conversation conversation, int index, String text, int contentEnd) {
    String standIn = STAND_INS.get(0);
    String last;
    try {
      last = replaced(conversation, index + 1, index, standIn);
    } catch (JinjaException e) {
      return 0;
    }
    int at = last.lastIndexOf(standIn);
    String tail = at < 0 ? "" : last.substring(at + standIn.length());
    int same = 0;
    while (same < tail.length()
        && contentEnd + same < text.length()
        && tail.charAt(same) == text.charAt(contentEnd + same)) {
      same++;
    }
    return same;
  }

  private String replaced(Example.Conversation conversation, int count, int index, String content) {
    List<Message> messages = new ArrayList<>(conversation.messages().subList(0, count));
    messages.set(index, messages.get(index).withContent(content));
    return template.render(messages, conversation.tools(), false).text();
  }

  private static InvalidArgumentException lost(int index) {
    return new InvalidArgumentException(
        "chat template: expected to find messages["
            + index
            + "] in the text, but the template does not render it as it stands; mark what the"
            + " assistant says with {% generation %}, or give the message the loss weight 0");
  }
}
