package org.lorakernels.training.chat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.lorakernels.training.chat.jinja.JinjaException;
import org.lorakernels.training.chat.jinja.Rendered;
import org.lorakernels.training.chat.jinja.Template;

/** Templates as jinja2 itself renders them, character for character. */
class JinjaVectorsTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final LocalDateTime NOW = LocalDateTime.of(2026, 7, 1, 0, 0);

  /** Errors that users see: their messages are Jinja2's too. Of others the class suffices. */
  private static final Set<String> EXACT =
      Set.of("TemplateError", "UndefinedError", "SecurityError");

  /** The chat templates of models, and what they use of the language. */
  @TestFactory
  Stream<DynamicTest> golden() throws IOException {
    List<DynamicTest> tests = new ArrayList<>();
    for (JsonNode one : read("/golden/chat/cases.json")) {
      tests.add(
          DynamicTest.dynamicTest(one.get("name").asText(), () -> check(one, one.get("ctx"))));
    }
    assertTrue(tests.size() >= 32, "cases went missing");
    return tests.stream();
  }

  /** The language, area by area. */
  @TestFactory
  Stream<DynamicTest> language() throws IOException {
    List<DynamicTest> tests = new ArrayList<>();
    JsonNode file = read("/chat/jinja.json");
    for (JsonNode one : file.get("cases")) {
      tests.add(
          DynamicTest.dynamicTest(one.get("name").asText(), () -> check(one, file.get("context"))));
    }
    assertTrue(tests.size() >= 475, "cases went missing");
    return tests.stream();
  }

  private static JsonNode read(String resource) throws IOException {
    try (InputStream in = JinjaVectorsTest.class.getResourceAsStream(resource)) {
      return JSON.readTree(in);
    }
  }

  private static void check(JsonNode expected, JsonNode context) {
    String template = expected.get("template").asText();
    Map<String, Object> variables = JSON.convertValue(context, new TypeReference<>() {});
    String text = null;
    String error = null;
    List<Rendered.Span> spans = List.of();
    try {
      Rendered rendered = Template.parse(template).render(variables, NOW);
      text = rendered.text();
      spans = rendered.generations();
    } catch (JinjaException e) {
      error = EXACT.contains(e.kind()) ? e.getMessage() : e.kind();
    }
    String expectedError = null;
    if (expected.hasNonNull("error")) {
      String whole = expected.get("error").asText();
      String kind = whole.substring(0, whole.indexOf(':'));
      expectedError = EXACT.contains(kind) ? whole : kind;
    }
    assertEquals(expectedError, error, template);
    assertEquals(
        expected.hasNonNull("expected") ? expected.get("expected").asText() : null, text, template);
    if (expected.has("generations")) {
      List<Rendered.Span> expectedSpans = new ArrayList<>();
      for (JsonNode span : expected.get("generations")) {
        expectedSpans.add(
            new Rendered.Span(
                text.offsetByCodePoints(0, span.get(0).asInt()),
                text.offsetByCodePoints(0, span.get(1).asInt())));
      }
      assertEquals(expectedSpans, spans, template);
    }
  }
}
