package org.lorakernels.training.chat.jinja;

/**
 * A token of a template.
 *
 * @param type its kind
 * @param text of a name, an operator, or data; the value of a string; the digits of a number
 * @param line the line it begins on, from 1
 */
record Token(Type type, String text, int line) {
  enum Type {
    DATA,
    VARIABLE_BEGIN,
    VARIABLE_END,
    BLOCK_BEGIN,
    BLOCK_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  boolean isOperator(String operator) {
    return type == Type.OPERATOR && text.equals(operator);
  }

  boolean isName(String name) {
    return type == Type.NAME && text.equals(name);
  }

  /** As error messages name it. */
  String describe() {
    return switch (type) {
      case DATA -> "template data";
      case VARIABLE_BEGIN -> "begin of print statement";
      case VARIABLE_END -> "end of print statement";
      case BLOCK_BEGIN -> "begin of statement block";
      case BLOCK_END -> "end of statement block";
      case END -> "end of template";
      default -> "'" + text + "'";
    };
  }
}
