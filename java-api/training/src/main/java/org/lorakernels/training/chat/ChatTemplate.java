package org.lorakernels.training.chat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.lorakernels.CheckpointException;
import org.lorakernels.training.chat.jinja.JinjaException;
import org.lorakernels.training.chat.jinja.Rendered;
import org.lorakernels.training.chat.jinja.Template;
import org.lorakernels.training.data.Message;

/** The chat template of a model: messages to text, as transformers' apply_chat_template does. */
public final class ChatTemplate {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** The template that transformers takes where tools are given and there are several. */
  private static final String WITH_TOOLS = "tool_use";

  private static final String DEFAULT = "default";

  private final Map<String, Template> templates;
  private final Map<String, String> specialTokens;
  private final LocalDateTime now;

  private ChatTemplate(
      Map<String, Template> templates, Map<String, String> specialTokens, LocalDateTime now) {
    this.templates = templates;
    this.specialTokens = Map.copyOf(specialTokens);
    this.now = now;
  }

  /**
   * A template of one's own.
   *
   * @param source Jinja2
   * @param specialTokens names to texts ({@code bos_token}, ...), as {@link
   *     org.lorakernels.training.data.Tokenizer#specialTokens()} has them
   * @throws JinjaException if the template is malformed
   */
  public static ChatTemplate of(String source, Map<String, String> specialTokens) {
    return new ChatTemplate(
        Map.of(DEFAULT, Template.parse(source)), specialTokens, LocalDateTime.now());
  }

  /**
   * The template in a file of its own.
   *
   * @param file Jinja2, UTF-8
   * @param specialTokens as in {@link #of}
   * @throws CheckpointException if the file cannot be read or is malformed
   */
  public static ChatTemplate read(Path file, Map<String, String> specialTokens) {
    return new ChatTemplate(
        Map.of(DEFAULT, parse(file, text(file))), specialTokens, LocalDateTime.now());
  }

  /**
   * The template of a checkpoint, from {@code chat_template.jinja}, {@code chat_template.json} or
   * {@code tokenizer_config.json}, the first that has one.
   *
   * @param modelDirectory a checkpoint's directory in Hugging Face's layout
   * @param specialTokens as in {@link #of}
   * @return the template; empty where the checkpoint has none
   * @throws CheckpointException if a file is malformed
   */
  public static Optional<ChatTemplate> find(
      Path modelDirectory, Map<String, String> specialTokens) {
    Map<String, Template> templates = new LinkedHashMap<>();
    Path jinja = modelDirectory.resolve("chat_template.jinja");
    if (Files.isRegularFile(jinja)) {
      templates.put(DEFAULT, parse(jinja, text(jinja)));
    }
    for (String name : List.of("chat_template.json", "tokenizer_config.json")) {
      Path file = modelDirectory.resolve(name);
      if (templates.isEmpty() && Files.isRegularFile(file)) {
        collect(file, json(file).path("chat_template"), templates);
      }
    }
    return templates.isEmpty()
        ? Optional.empty()
        : Optional.of(new ChatTemplate(templates, specialTokens, LocalDateTime.now()));
  }

  /** A template, or a list of named ones. */
  private static void collect(Path file, JsonNode node, Map<String, Template> templates) {
    if (node.isTextual()) {
      templates.put(DEFAULT, parse(file, node.asText()));
    }
    for (JsonNode named : node.isArray() ? node : JSON.createArrayNode()) {
      templates.put(
          named.path("name").asText(DEFAULT), parse(file, named.path("template").asText()));
    }
  }

  private static Template parse(Path file, String source) {
    try {
      return Template.parse(source);
    } catch (JinjaException e) {
      throw new CheckpointException(file, "chat template: " + e.getMessage(), e);
    }
  }

  private static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new CheckpointException(file, "chat template: cannot be read: " + e.getMessage(), e);
    }
  }

  private static JsonNode json(Path file) {
    try {
      return JSON.readTree(file.toFile());
    } catch (IOException e) {
      throw new CheckpointException(file, "chat template: cannot be read: " + e.getMessage(), e);
    }
  }

  /**
   * The same with a fixed time, for templates that print the date.
   *
   * @param time what {@code strftime_now} formats
   */
  public ChatTemplate at(LocalDateTime time) {
    return new ChatTemplate(templates, specialTokens, time);
  }

  /** The texts of the special tokens that the template sees. */
  public Map<String, String> specialTokens() {
    return specialTokens;
  }

  /**
   * Renders a conversation.
   *
   * @param messages in order
   * @param tools what the model may call, as JSON has it; null: nothing
   * @param addGenerationPrompt true: with what makes the model answer
   * @return the text, with its special tokens written out
   * @throws JinjaException if the template refuses the conversation
   */
  public Rendered render(List<Message> messages, List<Object> tools, boolean addGenerationPrompt) {
    return render(messages, tools, addGenerationPrompt, Map.of());
  }

  /**
   * Renders a conversation.
   *
   * @param messages in order
   * @param tools what the model may call, as JSON has it; null: nothing
   * @param addGenerationPrompt true: with what makes the model answer
   * @param more further variables, such as {@code enable_thinking}
   * @return the text, with its special tokens written out
   * @throws JinjaException if the template refuses the conversation
   */
  public Rendered render(
      List<Message> messages,
      List<Object> tools,
      boolean addGenerationPrompt,
      Map<String, Object> more) {
    List<Object> fields = new ArrayList<>();
    messages.forEach(message -> fields.add(message.fields()));
    Map<String, Object> variables = new LinkedHashMap<>(specialTokens);
    variables.put("messages", fields);
    variables.put("tools", tools);
    variables.put("documents", null);
    variables.put("add_generation_prompt", addGenerationPrompt);
    variables.putAll(more);
    return template(tools).render(variables, now);
  }

  private Template template(List<Object> tools) {
    if (tools != null && templates.containsKey(WITH_TOOLS)) {
      return templates.get(WITH_TOOLS);
    }
    Template template = templates.get(DEFAULT);
    return template != null ? template : templates.values().iterator().next();
  }
}
