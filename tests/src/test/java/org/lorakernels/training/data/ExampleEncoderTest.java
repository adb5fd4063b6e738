package org.lorakernels.training.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.chat.ChatTemplate;

/** What is trained on, written out by hand: in the texts below it stands between » and «. */
class ExampleEncoderTest {
  private static final String CHATML =
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
          + "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

  /** Drops thoughts of all but the last message, and begins the last with empty ones. */
  private static final String THINKING =
      "{% for m in messages %}{% set c = m.content %}{% if m.role == 'assistant' %}"
          + "{% set c = c.split('</think>')[-1].lstrip('\\n') %}"
          + "{% if loop.last %}{% set c = '<think></think>' + c %}{% endif %}{% endif %}"
          + "{{ '<|im_start|>' + m.role + '\\n' + c + '<|im_end|>\\n' }}"
          + "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

  private static final List<Message> TWO_TURNS =
      List.of(
          Message.of("system", "be brief"),
          Message.of("user", "hi"),
          Message.of("assistant", "hello"),
          Message.of("user", "and?"),
          Message.of("assistant", "bye"));

  private static Tokenizer tokenizer;

  @BeforeAll
  static void open() {
    tokenizer = TestTokenizers.open();
  }

  @AfterAll
  static void close() {
    tokenizer.close();
  }

  private static ExampleEncoder encoder(String template, EncodingOptions options) {
    return new ExampleEncoder(
        tokenizer,
        template == null ? null : ChatTemplate.of(template, tokenizer.specialTokens()),
        options);
  }

  private static EncodedExample chat(String template, List<Message> messages) {
    return encoder(template, EncodingOptions.ofLength(1000))
        .encode(new Example.Conversation(messages, null));
  }

  /** The text with what is trained on between » and «; every label must be the id. */
  private static String marked(EncodedExample example) {
    StringBuilder text = new StringBuilder();
    boolean trained = false;
    int from = 0;
    int[] ids = example.inputIds();
    for (int i = 0; i <= ids.length; i++) {
      boolean now = i < ids.length && example.labels()[i] != Batch.IGNORED;
      if (now) {
        assertEquals(ids[i], example.labels()[i]);
      }
      if (now != trained || i == ids.length) {
        text.append(tokenizer.decode(Arrays.copyOfRange(ids, from, i)));
        text.append(now == trained ? "" : now ? "»" : "«");
        from = i;
        trained = now;
      }
    }
    return text.toString();
  }

  @Test
  void textsAndCompletions() {
    ExampleEncoder encoder = encoder(null, EncodingOptions.ofLength(1000));
    assertEquals("»<|bos|>hello<|eos|>«", marked(encoder.encode(new Example.Text("hello"))));
    assertEquals("»<|bos|>hello<|eos|>«", marked(encoder.encode(new Example.Text("hello<|eos|>"))));
    assertEquals(
        "<|bos|>say» hello<|eos|>«",
        marked(encoder.encode(new Example.Completion("say", " hello"))));
    // "hel" and "lo" are one token: it is trained on, since part of it is
    assertEquals(
        "<|bos|>»hello<|eos|>«", marked(encoder.encode(new Example.Completion("hel", "lo"))));
    ExampleEncoder whole =
        encoder(null, EncodingOptions.ofLength(1000).withAppendEos(false).withPromptLoss(true));
    assertEquals(
        "»<|bos|>say hello«", marked(whole.encode(new Example.Completion("say", " hello"))));
  }

  @Test
  void answersOfAllTurnsAndNothingElse() {
    EncodedExample example = chat(CHATML, TWO_TURNS);
    assertEquals(
        "<|bos|><|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
            + "<|im_start|>assistant\n»hello<|im_end|>\n«<|im_start|>user\nand?<|im_end|>\n"
            + "<|im_start|>assistant\n»bye<|im_end|>\n«",
        marked(example));
    assertNull(example.weights());
  }

  @Test
  void generationBlocksDecideWhereThereAreSome() {
    String template =
        "{% for m in messages %}{{ m.role + ':' }}{% if m.role == 'assistant' %}"
            + "{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
            + "{% else %}{{ m.content + '\\n' }}{% endif %}{% endfor %}";
    assertEquals(
        "<|bos|>system:be brief\nuser:hi\nassistant:»hello<|im_end|>«\nuser:and?\n"
            + "assistant:»bye<|im_end|>«\n",
        marked(chat(template, TWO_TURNS)));
  }

  @Test
  void templatesThatDropThoughts() {
    List<Message> thoughtful =
        List.of(
            Message.of("user", "hi"),
            Message.of("assistant", "<think>hm</think>\nhello"),
            Message.of("user", "and?"),
            Message.of("assistant", "<think>oh</think>\nbye"));
    assertEquals(
        "<|bos|><|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n»hello<|im_end|>\n«"
            + "<|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\n"
            + "»<think></think>bye<|im_end|>\n«",
        marked(chat(THINKING, thoughtful)));
  }

  @Test
  void templatesThatNeedAUserOrHaveNoGenerationPrompt() {
    String instruct =
        "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}"
            + "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}"
            + " [/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";
    assertEquals(
        "<|bos|>[INST] hi [/INST]» hello<|eos|>«[INST] and? [/INST]» bye<|eos|>«",
        marked(chat(instruct, TWO_TURNS.subList(1, 5))));
  }

  @Test
  void bosIsThereOnceWhoeverWroteIt() {
    String late = "{{ '\\n' + bos_token }}" + CHATML;
    for (String template : List.of(CHATML, "{{ bos_token }}" + CHATML, late)) {
      long count =
          Arrays.stream(chat(template, TWO_TURNS).inputIds())
              .filter(id -> id == TestTokenizers.BOS)
              .count();
      assertEquals(1, count, template);
    }
  }

  @Test
  void weightsOfMessages() {
    List<Message> weighted =
        List.of(
            Message.of("user", "hi").withLossWeight(0.5),
            Message.of("assistant", "hello").withLossWeight(0),
            Message.of("user", "and?"),
            Message.of("assistant", "bye").withLossWeight(2));
    EncodedExample example = chat(CHATML, weighted);
    assertEquals(
        "<|bos|>»<|im_start|>user\nhi<|im_end|>\n«<|im_start|>assistant\nhello<|im_end|>\n"
            + "<|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\n»bye<|im_end|>\n«",
        marked(example));
    float previous = -1;
    StringBuilder steps = new StringBuilder();
    for (float weight : example.weights()) {
      if (weight != previous) {
        steps.append(weight).append(' ');
      }
      previous = weight;
    }
    assertEquals("0.0 0.5 0.0 2.0 ", steps.toString());
  }

  @Test
  void callsOfTools() {
    String template =
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
            + "{% if m.role == 'assistant' and loop.last %}{{ '<think></think>' }}{% endif %}"
            + "{{ m.content }}{% for t in m.tool_calls %}{{ t.function | tojson }}{% endfor %}"
            + "{{ '<|im_end|>\\n' }}{% endfor %}"
            + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    Message call =
        new Message(
            Map.of(
                "role",
                "assistant",
                "content",
                "",
                "tool_calls",
                List.of(Map.of("function", Map.of("name", "look")))),
            null);
    List<Message> messages =
        List.of(
            Message.of("user", "hi"), call, Message.of("tool", "r"), Message.of("assistant", "x"));
    assertEquals(
        "<|bos|><|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
            + "»{\"name\": \"look\"}<|im_end|>\n«<|im_start|>tool\nr<|im_end|>\n"
            + "<|im_start|>assistant\n»<think></think>x<|im_end|>\n«",
        marked(chat(template, messages)));
  }

  @Test
  void alpacaTakesTheTemplateWhereThereIsOne() {
    Example.Instruction instruction = new Example.Instruction("hi", "", "hello", null);
    assertEquals(
        "<|bos|><|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n»hello<|im_end|>\n«",
        marked(encoder(CHATML, EncodingOptions.ofLength(1000)).encode(instruction)));
    String plain = marked(encoder(null, EncodingOptions.ofLength(1000)).encode(instruction));
    assertTrue(plain.endsWith("### Response:\n»hello<|eos|>«"), plain);
  }

  @Test
  void tokensAsTheyAre() {
    ExampleEncoder bare = new ExampleEncoder(null, null, EncodingOptions.ofLength(2));
    EncodedExample example = bare.encode(new Example.Tokens(new int[] {1, 2, 3}, null));
    assertArrayEquals(new int[] {1, 2, 3}, example.labels());
    assertEquals(2, bare.truncate(example).length());
    assertEquals(0, bare.padId());
  }

  @Test
  void faults() {
    InvalidArgumentException noTemplate =
        assertThrows(InvalidArgumentException.class, () -> chat(null, TWO_TURNS));
    assertTrue(noTemplate.getMessage().contains("chat template"), noTemplate.getMessage());
    ExampleEncoder bare = new ExampleEncoder(null, null, EncodingOptions.ofLength(2));
    assertThrows(InvalidArgumentException.class, () -> bare.encode(new Example.Text("a")));
    assertThrows(InvalidArgumentException.class, () -> EncodingOptions.ofLength(1));
    // the whole conversation as one lump: nobody can tell where the answer is
    String lump = "{{ messages | map(attribute='content') | join | length }}";
    InvalidArgumentException lost =
        assertThrows(InvalidArgumentException.class, () -> chat(lump, TWO_TURNS));
    assertTrue(lost.getMessage().contains("messages[2]"), lost.getMessage());
  }
}
