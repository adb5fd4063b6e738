package org.lorakernels.training.chat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.lorakernels.training.chat.Finding.Code;
import org.lorakernels.training.chat.Finding.Severity;
import org.lorakernels.training.data.Message;
import org.lorakernels.training.data.TestTokenizers;
import org.lorakernels.training.data.Tokenizer;

class TemplateValidatorTest {
  private static final String TURNS =
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
          + "{% endfor %}";
  private static final String PROMPT =
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

  private static Tokenizer tokenizer;

  @BeforeAll
  static void open() {
    tokenizer = TestTokenizers.open();
  }

  @AfterAll
  static void close() {
    tokenizer.close();
  }

  private static TemplateValidator validator(String template) {
    return new TemplateValidator(ChatTemplate.of(template, tokenizer.specialTokens()), tokenizer);
  }

  private static List<String> codes(List<Finding> findings) {
    return findings.stream().map(f -> f.severity() + " " + f.code()).toList();
  }

  private static List<String> template(String template) {
    return codes(validator(template).validate());
  }

  @Test
  void nothingIsWrongWithAGoodTemplate() {
    assertEquals(List.of(), template(TURNS + PROMPT));
    // no prompt is needed where the user's message already leads to the answer
    assertEquals(
        List.of(),
        template(
            "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
                + "{% else %} {{ m.content }}<|eos|>{% endif %}{% endfor %}"));
  }

  @Test
  void missingOrDifferentGenerationPrompt() {
    assertEquals(List.of("ERROR MISSING_GENERATION_PROMPT"), template(TURNS));
    assertEquals(
        List.of("WARNING MISSING_GENERATION_PROMPT"),
        template(TURNS + "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"));
  }

  @Test
  void doubleBos() {
    assertEquals(
        List.of("ERROR DOUBLE_BOS"), template("{{ bos_token + bos_token }}" + TURNS + PROMPT));
    assertEquals(List.of("NOTE DOUBLE_BOS"), template("{{ bos_token }}" + TURNS + PROMPT));
  }

  @Test
  void templateOfAnotherFamily() {
    String gemma =
        "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n"
            + "{% endfor %}{% if add_generation_prompt %}<start_of_turn>assistant\n{% endif %}";
    List<Finding> findings = validator(gemma).validate();
    assertEquals(List.of("ERROR WRONG_FAMILY"), codes(findings));
    assertTrue(
        findings.get(0).message().contains("<start_of_turn>, <end_of_turn>"),
        findings.get(0).message());
  }

  @Test
  void refusingAndChangingTemplates() {
    assertEquals(List.of("ERROR REFUSED"), template("{{ raise_exception('never') }}"));
    assertEquals(
        List.of("ERROR CONTENT_CHANGED"),
        template(
            "{% for m in messages %}{{ m.role + (m.content if m.role == 'assistant' else '') }}"
                + "{% endfor %}{% if add_generation_prompt %}assistant{% endif %}"));
  }

  @Test
  void rolesOutOfOrder() {
    assertEquals(List.of(), roles("system", "user", "assistant", "user", "assistant"));
    assertEquals(List.of(), roles("user", "assistant", "tool", "tool", "assistant"));
    assertEquals(List.of("WARNING"), roles("user", "user", "assistant"));
    assertEquals(List.of("WARNING"), roles("user", "assistant", "assistant"));
    assertEquals(List.of("WARNING"), roles("assistant"));
    assertEquals(List.of("WARNING"), roles("system", "assistant"));
    assertEquals(List.of("WARNING"), roles("user", "system", "assistant"));
    assertEquals(List.of("WARNING"), roles("user", "tool", "assistant"));
    assertEquals(List.of("WARNING"), roles("user", "robot", "assistant"));
    assertEquals(List.of("WARNING"), roles("user"));
    assertEquals(List.of("NOTE"), roles("user", "assistant", "user"));
  }

  private static List<String> roles(String... roles) {
    List<Message> messages = List.of(roles).stream().map(role -> Message.of(role, "x")).toList();
    List<Finding> findings = validator(TURNS + PROMPT).validate(messages, null);
    findings.forEach(finding -> assertEquals(Code.ROLES_OUT_OF_ORDER, finding.code()));
    return findings.stream().map(Finding::severity).map(Severity::name).toList();
  }

  @Test
  void aConversationThatTheTemplateRefuses() {
    String strict =
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
            + TURNS;
    List<Finding> findings =
        validator(strict + PROMPT)
            .validate(
                List.of(
                    Message.of("system", "s"),
                    Message.of("user", "u"),
                    Message.of("assistant", "a")),
                null);
    assertEquals(List.of("ERROR REFUSED"), codes(findings));
    assertTrue(findings.get(0).message().contains("no system"), findings.get(0).message());
  }
}
