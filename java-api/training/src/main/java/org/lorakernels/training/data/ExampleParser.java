package org.lorakernels.training.data;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.lorakernels.InvalidArgumentException;

/** From a JSON object to an example; a message of an error names the field. */
final class ExampleParser {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Map<String, String> SHAREGPT_ROLES =
      Map.of("human", "user", "gpt", Message.ASSISTANT, "observation", "tool");

  private ExampleParser() {}

  static Example parse(DataShape shape, JsonNode object) {
    return switch (shape) {
      case TEXT -> new Example.Text(string(object, "text"));
      case ALPACA ->
          new Example.Instruction(
              string(object, "instruction"),
              object.hasNonNull("input") ? string(object, "input") : "",
              string(object, "output"),
              object.hasNonNull("system") ? string(object, "system") : null);
      case PROMPT_COMPLETION -> promptCompletion(object);
      case MESSAGES -> conversation(object, "messages");
      case SHAREGPT -> conversation(object, "conversations");
      case TOKENS -> tokens(object);
    };
  }

  private static Example promptCompletion(JsonNode object) {
    if (!object.path("prompt").isArray()) {
      return new Example.Completion(string(object, "prompt"), string(object, "completion"));
    }
    List<Message> messages = new ArrayList<>();
    messages(object, "prompt").forEach(message -> messages.add(message.withLossWeight(0)));
    messages.addAll(messages(object, "completion"));
    return new Example.Conversation(messages, tools(object));
  }

  private static Example.Conversation conversation(JsonNode object, String field) {
    List<Message> messages = new ArrayList<>(messages(object, field));
    if (object.hasNonNull("system") && !messages.get(0).role().equals("system")) {
      messages.add(0, Message.of("system", string(object, "system")));
    }
    return new Example.Conversation(List.copyOf(messages), tools(object));
  }

  private static List<Message> messages(JsonNode object, String field) {
    JsonNode array = object.path(field);
    if (!array.isArray() || array.isEmpty()) {
      throw expected(field, "a list of messages, at least one", array);
    }
    List<Message> messages = new ArrayList<>();
    for (int i = 0; i < array.size(); i++) {
      messages.add(message(array.get(i), field + "[" + i + "]"));
    }
    return messages;
  }

  private static Message message(JsonNode node, String where) {
    if (!node.isObject()) {
      throw expected(where, "a message", node);
    }
    Double weight = null;
    for (String name : List.of("loss_weight", "weight")) {
      if (node.hasNonNull(name)) {
        weight = node.get(name).asDouble(-1);
        if (!(weight >= 0 && Double.isFinite(weight))) {
          throw expected(where + "." + name, "a number, 0 or above", node.get(name));
        }
      }
    }
    Map<String, Object> fields = new LinkedHashMap<>();
    if (node.has("from")) {
      shareGpt(node, where, fields);
    } else {
      fields.put("role", string(node, "role", where));
      fields.put("content", content(node.path("content"), where + ".content"));
    }
    for (Map.Entry<String, JsonNode> entry : node.properties()) {
      String name = entry.getKey();
      if (!List.of("from", "value", "loss_weight", "weight").contains(name)) {
        fields.putIfAbsent(name, JSON.convertValue(entry.getValue(), Object.class));
      }
    }
    return new Message(fields, weight);
  }

  /** A call of a function becomes what OpenAI's messages make of it. */
  private static void shareGpt(JsonNode node, String where, Map<String, Object> fields) {
    String from = string(node, "from", where);
    String value = string(node, "value", where);
    if (!from.equals("function_call")) {
      fields.put("role", SHAREGPT_ROLES.getOrDefault(from, from));
      fields.put("content", value);
      return;
    }
    JsonNode call = json(value, where + ".value");
    List<Object> calls = new ArrayList<>();
    for (JsonNode one : call.isArray() ? call : JSON.createArrayNode().add(call)) {
      if (!one.path("name").isTextual()) {
        throw expected(where + ".value", "a call with \"name\" and \"arguments\"", one);
      }
      calls.add(Map.of("type", "function", "function", JSON.convertValue(one, Object.class)));
    }
    fields.put("role", Message.ASSISTANT);
    fields.put("content", "");
    fields.put("tool_calls", calls);
  }

  /** Text, or parts of which all are text, which become one. */
  private static Object content(JsonNode content, String where) {
    if (content.isTextual()) {
      return content.asText();
    }
    if (content.isNull() || content.isMissingNode()) {
      return content.isNull() ? null : "";
    }
    if (!content.isArray()) {
      throw expected(where, "a string or a list of parts", content);
    }
    StringBuilder text = new StringBuilder();
    for (JsonNode part : content) {
      JsonNode value = part.has("text") ? part.get("text") : part.path("value");
      if (!part.path("type").asText("text").equals("text") || !value.isTextual()) {
        throw expected(where, "parts of type text (images and sound are not supported)", part);
      }
      text.append(value.asText());
    }
    return text.toString();
  }

  /** A list, or a string with one in it; a bare function is put where templates look for it. */
  private static List<Object> tools(JsonNode object) {
    JsonNode tools = object.path("tools");
    if (tools.isTextual()) {
      tools = tools.asText().isBlank() ? JSON.nullNode() : json(tools.asText(), "tools");
    }
    if (tools.isNull() || tools.isMissingNode() || tools.isEmpty()) {
      return null;
    }
    if (!tools.isArray()) {
      throw expected("tools", "a list", tools);
    }
    List<Object> list = new ArrayList<>();
    for (JsonNode tool : tools) {
      Object value = JSON.convertValue(tool, Object.class);
      boolean bare = tool.has("name") && !tool.has("function");
      if (bare) {
        Map<String, Object> wrapped = new LinkedHashMap<>();
        wrapped.put("type", "function");
        wrapped.put("function", value);
        list.add(wrapped);
      } else {
        list.add(value);
      }
    }
    return list;
  }

  private static Example.Tokens tokens(JsonNode object) {
    int[] ids = integers(object, "input_ids");
    int[] labels = object.hasNonNull("labels") ? integers(object, "labels") : null;
    int[] mask = object.hasNonNull("attention_mask") ? integers(object, "attention_mask") : null;
    sameLength("labels", labels, ids);
    sameLength("attention_mask", mask, ids);
    if (ids.length == 0) {
      throw expected("input_ids", "at least one id", object.get("input_ids"));
    }
    if (mask == null) {
      return new Example.Tokens(ids, labels);
    }
    int[] kept = IntStream.range(0, ids.length).filter(i -> mask[i] != 0).toArray();
    return new Example.Tokens(pick(ids, kept), labels == null ? null : pick(labels, kept));
  }

  private static int[] pick(int[] values, int[] places) {
    return IntStream.of(places).map(i -> values[i]).toArray();
  }

  private static void sameLength(String field, int[] values, int[] ids) {
    if (values != null && values.length != ids.length) {
      throw new InvalidArgumentException(
          "\""
              + field
              + "\": expected "
              + ids.length
              + " values, as many as input_ids, but there are "
              + values.length);
    }
  }

  private static int[] integers(JsonNode object, String field) {
    JsonNode array = object.path(field);
    if (!array.isArray()) {
      throw expected(field, "a list of integers", array);
    }
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      if (!array.get(i).canConvertToInt() || !array.get(i).isIntegralNumber()) {
        throw expected(field + "[" + i + "]", "an integer", array.get(i));
      }
      values[i] = array.get(i).asInt();
    }
    return values;
  }

  private static JsonNode json(String text, String where) {
    try {
      return JSON.readTree(text);
    } catch (JsonProcessingException e) {
      throw new InvalidArgumentException(
          "\"" + where + "\": expected JSON in the string, but " + e.getOriginalMessage());
    }
  }

  private static String string(JsonNode object, String field) {
    return string(object, field, null);
  }

  private static String string(JsonNode object, String field, String where) {
    if (!object.path(field).isTextual()) {
      throw expected(where == null ? field : where + "." + field, "a string", object.path(field));
    }
    return object.get(field).asText();
  }

  private static InvalidArgumentException expected(String field, String expected, JsonNode given) {
    String text = given.isMissingNode() ? "missing" : given.toString();
    return new InvalidArgumentException(
        "\""
            + field
            + "\": expected "
            + expected
            + ", but is "
            + (text.length() > 60 ? text.substring(0, 57) + "..." : text));
  }
}
