package org.lorakernels.training.chat.jinja;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.lorakernels.training.chat.jinja.Token.Type;

/**
 * Cuts a template into tokens, with the whitespace control of Jinja2 under {@code trim_blocks} and
 * {@code lstrip_blocks}:
 *
 * <ul>
 *   <li>{@code {%-} takes all white space before it, {@code -%}} all after it, {@code -}}} too;
 *   <li>a block or comment that only blanks precede on its line takes them, unless it is {@code
 *       {%+}; <li>a block or comment takes the one newline that follows it, unless it ends in
 *       {@code +%}};
 *   <li>one newline at the very end of the template is dropped.
 * </ul>
 */
final class Lexer {
  private static final Pattern RAW =
      Pattern.compile("\\{%[-+]?\\s*raw\\s*(-%\\}\\s*|%\\})", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern END_RAW =
      Pattern.compile(
          "\\{%([-+]?)\\s*endraw\\s*(\\+%\\}|-%\\}\\s*|%\\}\\n?)", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern END_COMMENT =
      Pattern.compile("\\+#\\}|-#\\}\\s*|#\\}\\n?", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern BLOCK_END =
      Pattern.compile("\\+%\\}|-%\\}\\s*|%\\}\\n?", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern VARIABLE_END =
      Pattern.compile("-\\}\\}\\s*|\\}\\}", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern SPACE = Pattern.compile("\\s+", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern FLOAT =
      Pattern.compile(
          "(?<!\\.)(\\d+_)*\\d+((\\.(\\d+_)*\\d+)?[eE][+-]?(\\d+_)*\\d+|\\.(\\d+_)*\\d+)");
  private static final Pattern INTEGER =
      Pattern.compile("0[bB](_?[01])+|0[oO](_?[0-7])+|0[xX](_?[0-9a-fA-F])+|[1-9](_?\\d)*|0(_?0)*");
  private static final Pattern NAME = Pattern.compile("\\w+", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern STRING =
      Pattern.compile(
          "'([^'\\\\]*+(?:\\\\.[^'\\\\]*+)*+)'|\"([^\"\\\\]*+(?:\\\\.[^\"\\\\]*+)*+)\"",
          Pattern.DOTALL);
  private static final Pattern OPERATOR =
      Pattern.compile("//|\\*\\*|==|!=|>=|<=|[-+/*%~\\[\\](){}><=.:|,;]");

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int at;
  private int line = 1;
  private boolean lineStarts = true;

  private Lexer(String source) {
    this.source = source;
  }

  /** The tokens of a template, with one of type {@link Type#END} at the end. */
  static List<Token> tokenize(String template) {
    String source = template.replace("\r\n", "\n").replace('\r', '\n');
    if (source.endsWith("\n")) {
      source = source.substring(0, source.length() - 1);
    }
    Lexer lexer = new Lexer(source);
    while (lexer.at < source.length()) {
      lexer.data();
    }
    lexer.tokens.add(new Token(Type.END, "", lexer.line));
    return lexer.tokens;
  }

  /** Data up to the next tag, then the tag. */
  private void data() {
    int tag = nextTag();
    if (tag < 0) {
      emit(Type.DATA, source.substring(at));
      at = source.length();
      return;
    }
    char kind = source.charAt(tag + 1);
    int signAt = tag + 2;
    char sign = signAt < source.length() ? source.charAt(signAt) : ' ';
    boolean signed = sign == '-' || sign == '+';
    Matcher raw = RAW.matcher(source).region(tag, source.length());
    boolean isRaw = kind == '%' && raw.lookingAt();
    emitData(source.substring(at, tag), sign, kind != '{');
    countLines(at, tag);
    at = tag;
    if (isRaw) {
      advanceTo(raw.end());
      raw();
      return;
    }
    advanceTo(signed ? signAt + 1 : signAt);
    switch (kind) {
      case '#' -> comment();
      case '%' -> tag(Type.BLOCK_BEGIN, Type.BLOCK_END, BLOCK_END);
      default -> tag(Type.VARIABLE_BEGIN, Type.VARIABLE_END, VARIABLE_END);
    }
  }

  private int nextTag() {
    for (int i = at; i + 1 < source.length(); i++) {
      char next = source.charAt(i + 1);
      if (source.charAt(i) == '{' && (next == '{' || next == '%' || next == '#')) {
        return i;
      }
    }
    return -1;
  }

  private void emitData(String text, char sign, boolean lstrip) {
    String kept = text;
    if (sign == '-') {
      kept = PythonText.rstrip(text);
    } else if (sign != '+' && lstrip) {
      int start = text.lastIndexOf('\n') + 1;
      if ((start > 0 || lineStarts) && PythonText.isBlank(text, start)) {
        kept = text.substring(0, start);
      }
    }
    emit(Type.DATA, kept);
  }

  private void comment() {
    Matcher end = END_COMMENT.matcher(source);
    if (!end.find(at)) {
      throw JinjaException.syntax("Missing end of comment tag", line);
    }
    advanceTo(end.end());
    lineStarts = source.charAt(at - 1) == '\n';
  }

  private void raw() {
    lineStarts = source.charAt(at - 1) == '\n';
    Matcher end = END_RAW.matcher(source);
    if (!end.find(at)) {
      throw JinjaException.syntax("Missing end of raw directive", line);
    }
    char sign = end.group(1).isEmpty() ? ' ' : end.group(1).charAt(0);
    emitData(source.substring(at, end.start()), sign, true);
    advanceTo(end.end());
    lineStarts = source.charAt(at - 1) == '\n';
  }

  private void tag(Type begin, Type end, Pattern endPattern) {
    emit(begin, "");
    Deque<Character> open = new ArrayDeque<>();
    while (at < source.length()) {
      if (open.isEmpty()) {
        Matcher matcher = match(endPattern);
        if (matcher != null) {
          emit(end, "");
          advanceTo(matcher.end());
          lineStarts = source.charAt(at - 1) == '\n';
          return;
        }
      }
      token(open);
    }
  }

  private void token(Deque<Character> open) {
    Matcher matcher = match(SPACE);
    if (matcher != null) {
      advanceTo(matcher.end());
    } else if ((matcher = match(FLOAT)) != null) {
      take(Type.FLOAT, matcher, matcher.group().replace("_", ""));
    } else if ((matcher = match(INTEGER)) != null) {
      take(Type.INTEGER, matcher, matcher.group().replace("_", ""));
    } else if ((matcher = match(NAME)) != null) {
      take(Type.NAME, matcher, matcher.group());
    } else if ((matcher = match(STRING)) != null) {
      String quoted = matcher.group(1) != null ? matcher.group(1) : matcher.group(2);
      take(Type.STRING, matcher, PythonText.unescape(quoted, line));
    } else if ((matcher = match(OPERATOR)) != null) {
      balance(open, matcher.group().charAt(0));
      take(Type.OPERATOR, matcher, matcher.group());
    } else {
      throw JinjaException.syntax(
          "unexpected char " + PythonText.repr(source.substring(at, at + 1)) + " at " + at, line);
    }
  }

  /** Inside brackets {@code }}} does not end a tag, so that {@code {{ {} }}} is a dictionary. */
  private void balance(Deque<Character> open, char operator) {
    switch (operator) {
      case '(' -> open.push(')');
      case '[' -> open.push(']');
      case '{' -> open.push('}');
      case ')', ']', '}' -> {
        if (open.isEmpty()) {
          throw JinjaException.syntax("unexpected '" + operator + "'", line);
        }
        char expected = open.pop();
        if (expected != operator) {
          throw JinjaException.syntax(
              "unexpected '" + operator + "', expected '" + expected + "'", line);
        }
      }
      default -> {}
    }
  }

  private Matcher match(Pattern pattern) {
    Matcher matcher = pattern.matcher(source).region(at, source.length());
    matcher.useTransparentBounds(true); // a float looks at the character before it
    return matcher.lookingAt() ? matcher : null;
  }

  private void take(Type type, Matcher matcher, String text) {
    tokens.add(new Token(type, text, line));
    advanceTo(matcher.end());
  }

  private void emit(Type type, String text) {
    if (type != Type.DATA || !text.isEmpty()) {
      tokens.add(new Token(type, text, line));
    }
  }

  private void advanceTo(int end) {
    countLines(at, end);
    at = end;
  }

  private void countLines(int from, int to) {
    for (int i = from; i < to; i++) {
      line += source.charAt(i) == '\n' ? 1 : 0;
    }
  }
}
