package org.lorakernels.training.chat.jinja;

import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;

/** A parsed template. Immutable and thread-safe. */
public final class Template {
  private final List<Statement> body;

  private Template(List<Statement> body) {
    this.body = body;
  }

  /**
   * Parses a template.
   *
   * @param source its text
   * @return the template
   * @throws JinjaException if Jinja2 would refuse it ({@code TemplateSyntaxError}, {@code
   *     TemplateAssertionError})
   */
  public static Template parse(String source) {
    try {
      return new Template(StatementParser.parse(source));
    } catch (StackOverflowError e) {
      throw new JinjaException("RecursionError", "the template is nested too deeply");
    }
  }

  /**
   * Renders the template at the present time.
   *
   * @param variables names to values: null, Boolean, numbers, String, List, Map of these
   * @return the text, and where the assistant speaks
   * @throws JinjaException if Jinja2 or Python would raise something
   */
  public Rendered render(Map<String, ?> variables) {
    return render(variables, LocalDateTime.now());
  }

  /**
   * Renders the template.
   *
   * @param variables names to values: null, Boolean, numbers, String, List, Map of these
   * @param now what {@code strftime_now} formats
   * @return the text, and where the assistant speaks
   * @throws JinjaException if Jinja2 or Python would raise something
   */
  public Rendered render(Map<String, ?> variables, LocalDateTime now) {
    Scope scope = new Scope(null);
    variables.forEach((name, value) -> scope.set(name, Values.fromJava(value)));
    try {
      return new Renderer(now).render(body, scope);
    } catch (StackOverflowError e) {
      throw new JinjaException("RecursionError", "the template recurs too deeply");
    }
  }
}
