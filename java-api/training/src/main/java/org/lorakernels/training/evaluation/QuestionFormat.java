package org.lorakernels.training.evaluation;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Function;
import org.lorakernels.InvalidArgumentException;

/**
 * The shapes of multiple-choice files, each with the prompt that lm-evaluation-harness builds from
 * it (0 examples in the prompt).
 */
public enum QuestionFormat {
  /**
   * {@code {"query", "choices": [...], "gold": index}}, llm-foundry's: the query, a blank, the
   * choice.
   */
  CHOICES(Set.of("query", "choices", "gold"), QuestionFormat::choices),
  /**
   * HellaSwag's jsonl: {@code {"activity_label", "ctx_a", "ctx_b", "endings": [4], "label"}}. The
   * context is {@code activity_label: ctx_a Ctx_b} and everything is stripped of the markup that
   * WikiHow left ({@code [title]}, {@code [step]}, ...).
   */
  HELLASWAG(Set.of("activity_label", "ctx_a", "ctx_b", "endings"), QuestionFormat::hellaSwag),
  /**
   * ARC's jsonl: {@code {"question": {"stem", "choices": [{"text", "label"}]}, "answerKey"}}, or
   * the flat shape of the Hugging Face Hub: {@code {"question", "choices": {"text": [], "label":
   * []}, "answerKey"}}. The context is {@code Question: stem\nAnswer:}.
   */
  ARC(Set.of("question", "answerKey"), QuestionFormat::arc),
  /**
   * PIQA's jsonl: {@code {"goal", "sol1", "sol2"}} with the labels in a file beside it ({@code
   * NAME.jsonl} and {@code NAME-labels.lst}), or in {@code "label"}. The context is {@code
   * Question: goal\nAnswer:}.
   */
  PIQA(Set.of("goal", "sol1", "sol2"), QuestionFormat::piqa),
  /**
   * MMLU's csv without a header: question, four choices, the letter of the right one; the subject
   * is the name of the file without {@code _test}, {@code _val} or {@code _dev}. Also the shape of
   * the Hub, {@code {"question", "choices": [4], "answer": index, "subject"}}. The context states
   * the subject and the choices with their letters; what is scored is the letter.
   */
  MMLU(Set.of("question", "choices", "answer", "subject"), QuestionFormat::mmlu),
  /**
   * BLiMP's jsonl: {@code {"sentence_good", "sentence_bad"}}. No context: which sentence is more
   * probable.
   */
  BLIMP(Set.of("sentence_good", "sentence_bad"), QuestionFormat::blimp);

  private final Set<String> members;
  private final Function<JsonNode, Question> parser;

  QuestionFormat(Set<String> members, Function<JsonNode, Question> parser) {
    this.members = members;
    this.parser = parser;
  }

  /** The members by which a row is known, for messages. */
  Set<String> members() {
    return members;
  }

  /** Whether a row has the members of this shape. */
  boolean matches(JsonNode row) {
    return members.stream().allMatch(row::has);
  }

  /**
   * The question of a row.
   *
   * @throws InvalidArgumentException if a member is missing or of another kind
   */
  Question parse(JsonNode row) {
    return parser.apply(row);
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }

  private static Question choices(JsonNode row) {
    return new Question(text(row, "query"), " ", texts(row, "choices"), index(row, "gold"));
  }

  private static Question hellaSwag(JsonNode row) {
    String context = text(row, "ctx_a") + " " + capitalize(text(row, "ctx_b"));
    List<String> endings = new ArrayList<>();
    texts(row, "endings").forEach(ending -> endings.add(withoutMarkup(ending)));
    return new Question(
        withoutMarkup(text(row, "activity_label") + ": " + context),
        " ",
        endings,
        index(row, "label"));
  }

  /** As Python's {@code str.capitalize}: the first character upper, the others lower. */
  private static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.offsetByCodePoints(0, 1);
    return text.substring(0, first).toUpperCase(Locale.ROOT)
        + text.substring(first).toLowerCase(Locale.ROOT);
  }

  private static String withoutMarkup(String text) {
    return text.strip().replace(" [title]", ". ").replaceAll("\\[.*?\\]", "").replace("  ", " ");
  }

  private static Question arc(JsonNode row) {
    JsonNode question = row.get("question");
    List<String> texts = new ArrayList<>();
    List<String> labels = new ArrayList<>();
    if (question.isObject()) {
      for (JsonNode choice : array(question, "choices")) {
        texts.add(text(choice, "text"));
        labels.add(text(choice, "label"));
      }
    } else {
      JsonNode choices = member(row, "choices", "an object", JsonNode::isObject);
      texts.addAll(texts(choices, "text"));
      labels.addAll(texts(choices, "label"));
    }
    String stem = question.isObject() ? text(question, "stem") : text(row, "question");
    return new Question(
        "Question: " + stem + "\nAnswer:", " ", texts, position(labels, text(row, "answerKey")));
  }

  private static Question piqa(JsonNode row) {
    return new Question(
        "Question: " + text(row, "goal") + "\nAnswer:",
        " ",
        List.of(text(row, "sol1"), text(row, "sol2")),
        index(row, "label"));
  }

  private static Question mmlu(JsonNode row) {
    String subject = text(row, "subject").replace('_', ' ');
    List<String> choices = texts(row, "choices");
    List<String> letters = List.of("A", "B", "C", "D").subList(0, Math.min(4, choices.size()));
    StringBuilder context = new StringBuilder();
    context.append("The following are multiple choice questions (with answers) about ");
    context.append(subject).append(".\n\n").append(text(row, "question").strip());
    for (int i = 0; i < letters.size(); i++) {
      context.append('\n').append(letters.get(i)).append(". ").append(choices.get(i));
    }
    JsonNode answer = row.get("answer");
    int gold = answer.isTextual() ? position(letters, answer.textValue()) : index(row, "answer");
    return new Question(context.append("\nAnswer:").toString(), " ", letters, gold);
  }

  private static Question blimp(JsonNode row) {
    return new Question("", "", List.of(text(row, "sentence_good"), text(row, "sentence_bad")), 0);
  }

  private static int position(List<String> labels, String label) {
    int position = labels.indexOf(label);
    if (position < 0) {
      throw new InvalidArgumentException(
          "the right answer must be one of " + labels + ", but is \"" + label + "\"");
    }
    return position;
  }

  private static String text(JsonNode row, String name) {
    return member(row, name, "a string", JsonNode::isTextual).textValue();
  }

  private static JsonNode array(JsonNode row, String name) {
    return member(row, name, "an array", JsonNode::isArray);
  }

  private static List<String> texts(JsonNode row, String name) {
    List<String> texts = new ArrayList<>();
    for (JsonNode item : array(row, name)) {
      if (!item.isTextual()) {
        throw new InvalidArgumentException(
            "\"" + name + "\" must hold strings, but holds " + kind(item));
      }
      texts.add(item.textValue());
    }
    return texts;
  }

  /** An index, which some releases write as a string. */
  private static int index(JsonNode row, String name) {
    JsonNode value = row.get(name);
    if (value != null && value.isTextual() && value.textValue().matches("[0-9]{1,3}")) {
      return Integer.parseInt(value.textValue());
    }
    return member(row, name, "an integer", JsonNode::isInt).intValue();
  }

  private static JsonNode member(
      JsonNode row, String name, String expected, java.util.function.Predicate<JsonNode> valid) {
    JsonNode value = row.get(name);
    if (value == null || !valid.test(value)) {
      throw new InvalidArgumentException(
          "\"" + name + "\" must be " + expected + ", but is " + kind(value));
    }
    return value;
  }

  private static String kind(JsonNode value) {
    return value == null ? "missing" : value.getNodeType().name().toLowerCase(Locale.ROOT);
  }
}
