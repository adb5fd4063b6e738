package org.lorakernels.training.chat;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.lorakernels.training.chat.Finding.Code;
import org.lorakernels.training.chat.Finding.Severity;
import org.lorakernels.training.chat.jinja.JinjaException;
import org.lorakernels.training.data.Message;
import org.lorakernels.training.data.Tokenizer;

/**
 * Tells whether a chat template fits a tokenizer and a conversation, before anything is trained.
 */
public final class TemplateValidator {
  /** What special tokens look like in the families of models; the two bars of DeepSeek as well. */
  private static final Pattern SPECIAL =
      Pattern.compile(
          "<[|\uFF5C][^<>|\uFF5C\\s]{1,40}[|\uFF5C]>|<(?:start|end)_of_[a-z]+>|</?s>|<(?:bos|eos|pad|unk)>");

  private static final List<Message> PROBE =
      List.of(
          Message.of("user", "aaUSERaa"),
          Message.of(Message.ASSISTANT, "aaFIRSTaa"),
          Message.of("user", "aaAGAINaa"),
          Message.of(Message.ASSISTANT, "aaLASTaa"));

  private final ChatTemplate template;
  private final Tokenizer tokenizer;

  /** Over the template and the tokenizer of a model. */
  public TemplateValidator(ChatTemplate template, Tokenizer tokenizer) {
    this.template = template;
    this.tokenizer = tokenizer;
  }

  /** What is wrong with the template, tried on a plain conversation; empty: nothing. */
  public List<Finding> validate() {
    List<Finding> findings = new ArrayList<>();
    String text;
    try {
      text = template.render(PROBE, null, false).text();
    } catch (JinjaException e) {
      findings.add(
          new Finding(
              Severity.ERROR,
              Code.REFUSED,
              "expected a template that renders user and assistant in turn, but it raises "
                  + e.getMessage()));
      return findings;
    }
    generationPrompt(findings, text);
    bos(findings, text);
    family(findings, text);
    for (Message message : PROBE) {
      String content = (String) message.fields().get("content");
      if (!text.contains(content)) {
        findings.add(
            new Finding(
                Severity.ERROR,
                Code.CONTENT_CHANGED,
                "expected the "
                    + message.role()
                    + "'s words in the text, but the template drops or changes them"));
        break;
      }
    }
    return findings;
  }

  /**
   * What is wrong with a conversation.
   *
   * @param messages in order
   * @param tools what the model may call; null: nothing
   * @return findings; empty: nothing
   */
  public List<Finding> validate(List<Message> messages, List<Object> tools) {
    List<Finding> findings = new ArrayList<>(RoleOrder.check(messages));
    try {
      template.render(messages, tools, false);
    } catch (JinjaException e) {
      findings.add(
          new Finding(Severity.ERROR, Code.REFUSED, "the template refuses it: " + e.getMessage()));
    }
    return findings;
  }

  /** A prompt must be what the assistant's message begins with, up to its content. */
  private void generationPrompt(List<Finding> findings, String text) {
    List<Message> asked = PROBE.subList(0, 3);
    String prompted;
    try {
      prompted = template.render(asked, null, true).text();
    } catch (JinjaException e) {
      findings.add(
          new Finding(
              Severity.ERROR,
              Code.MISSING_GENERATION_PROMPT,
              "expected a text that ends where the assistant begins, but with"
                  + " add_generation_prompt the template raises "
                  + e.getMessage()));
      return;
    }
    int content = text.indexOf("aaLASTaa");
    String lead = content < 0 ? text : text.substring(0, content);
    if (!lead.startsWith(prompted)) {
      if (!prompted.startsWith(lead)) {
        findings.add(
            new Finding(
                Severity.WARNING,
                Code.MISSING_GENERATION_PROMPT,
                "expected the prompt to be what precedes the assistant's words in training, but it"
                    + " differs: "
                    + quote(prompted)
                    + " against "
                    + quote(lead)));
      }
    } else if (!lead.substring(prompted.length()).isBlank()
        && prompted.equals(template.render(asked, null, false).text())) {
      findings.add(
          new Finding(
              Severity.ERROR,
              Code.MISSING_GENERATION_PROMPT,
              "expected add_generation_prompt to write "
                  + quote(lead.substring(prompted.length()))
                  + ", with which the assistant's messages begin, but the template ignores it; the"
                  + " model would have to say that itself"));
    }
  }

  private void bos(List<Finding> findings, String text) {
    String bos = template.specialTokens().get("bos_token");
    if (bos == null || bos.isEmpty()) {
      return;
    }
    if (text.startsWith(bos + bos)) {
      findings.add(
          new Finding(
              Severity.ERROR,
              Code.DOUBLE_BOS,
              "expected " + bos + " once, but the template writes it twice; remove one"));
    } else if (text.startsWith(bos) && tokenizer.addsBos()) {
      findings.add(
          new Finding(
              Severity.NOTE,
              Code.DOUBLE_BOS,
              "both the template and the tokenizer write "
                  + bos
                  + ": it is taken once here; elsewhere encode the text without special tokens"));
    }
  }

  private void family(List<Finding> findings, String text) {
    Set<String> unknown = new LinkedHashSet<>();
    Matcher matcher = SPECIAL.matcher(text);
    while (matcher.find()) {
      if (!isSingleToken(matcher.group())) {
        unknown.add(matcher.group());
      }
    }
    if (!unknown.isEmpty()) {
      findings.add(
          new Finding(
              Severity.ERROR,
              Code.WRONG_FAMILY,
              "expected special tokens of this tokenizer, but it does not know "
                  + unknown.stream().collect(Collectors.joining(", "))
                  + " as single tokens; the template is of another family of models"));
    }
  }

  private boolean isSingleToken(String text) {
    return tokenizer.tokenId(text) != null && tokenizer.encode(text, false).length == 1;
  }

  private static String quote(String text) {
    String tail = text.length() > 40 ? "..." + text.substring(text.length() - 40) : text;
    return '"' + tail.replace("\n", "\\n") + '"';
  }
}
