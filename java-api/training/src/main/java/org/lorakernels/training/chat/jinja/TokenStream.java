package org.lorakernels.training.chat.jinja;

import java.util.List;
import org.lorakernels.training.chat.jinja.Token.Type;

/** The tokens of a template with a place in them. */
final class TokenStream {
  private final List<Token> tokens;
  private int at;

  TokenStream(List<Token> tokens) {
    this.tokens = tokens;
  }

  Token current() {
    return tokens.get(at);
  }

  /** The token after the current one. */
  Token look() {
    return tokens.get(Math.min(at + 1, tokens.size() - 1));
  }

  /** The current token; the place moves on, but not past the end. */
  Token next() {
    Token token = current();
    at = Math.min(at + 1, tokens.size() - 1);
    return token;
  }

  boolean skipOperator(String operator) {
    boolean found = current().isOperator(operator);
    if (found) {
      next();
    }
    return found;
  }

  boolean skipName(String name) {
    boolean found = current().isName(name);
    if (found) {
      next();
    }
    return found;
  }

  void expectOperator(String operator) {
    if (!skipOperator(operator)) {
      throw fail("expected token '" + operator + "', got " + current().describe());
    }
  }

  void expectName(String name) {
    if (!skipName(name)) {
      throw fail("expected token '" + name + "', got " + current().describe());
    }
  }

  Token expect(Type type, String what) {
    if (current().type() != type) {
      throw fail("expected token '" + what + "', got " + current().describe());
    }
    return next();
  }

  JinjaException fail(String message) {
    return JinjaException.syntax(message, current().line());
  }
}
