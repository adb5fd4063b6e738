package org.lorakernels.training.chat.jinja;

import org.lorakernels.LoraKernelsException;

/** A template that cannot be parsed or rendered; says what Jinja2 would raise. */
public final class JinjaException extends LoraKernelsException {
  private static final long serialVersionUID = 1L;

  private final String kind;

  /**
   * With the class of Python's exception.
   *
   * @param kind its name: {@code TemplateError} (raised by the template itself), {@code
   *     TemplateSyntaxError}, {@code UndefinedError}, {@code TypeError}, ...
   * @param message its message
   */
  public JinjaException(String kind, String message) {
    super(kind + ": " + message);
    this.kind = kind;
  }

  /** The name of the class that Jinja2 or Python would raise. */
  public String kind() {
    return kind;
  }

  static JinjaException syntax(String message, int line) {
    return new JinjaException("TemplateSyntaxError", message + " (line " + line + ")");
  }

  static JinjaException type(String message) {
    return new JinjaException("TypeError", message);
  }

  static JinjaException value(String message) {
    return new JinjaException("ValueError", message);
  }

  static JinjaException undefined(String message) {
    return new JinjaException("UndefinedError", message);
  }
}
