package org.lorakernels.training.chat.jinja;

/** What Python does with strings and Java does otherwise. */
final class PythonText {
  private PythonText() {}

  /** Whether {@code str.isspace} holds for the character. */
  static boolean isSpace(int c) {
    return (c >= 9 && c <= 13)
        || (c >= 28 && c <= 32)
        || c == 0x85
        || c == 0xa0
        || c == 0x1680
        || (c >= 0x2000 && c <= 0x200a)
        || c == 0x2028
        || c == 0x2029
        || c == 0x202f
        || c == 0x205f
        || c == 0x3000;
  }

  /** Whether only white space follows {@code from}; true where nothing does. */
  static boolean isBlank(String text, int from) {
    return text.substring(from).chars().allMatch(PythonText::isSpace);
  }

  static String lstrip(String text) {
    int start = 0;
    while (start < text.length() && isSpace(text.charAt(start))) {
      start++;
    }
    return text.substring(start);
  }

  static String rstrip(String text) {
    int end = text.length();
    while (end > 0 && isSpace(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(0, end);
  }

  static String strip(String text) {
    return lstrip(rstrip(text));
  }

  /** Without the leading code points that {@code characters} holds. */
  static String lstrip(String text, String characters) {
    int start = 0;
    while (start < text.length() && characters.indexOf(text.codePointAt(start)) >= 0) {
      start += Character.charCount(text.codePointAt(start));
    }
    return text.substring(start);
  }

  /** Without the trailing code points that {@code characters} holds. */
  static String rstrip(String text, String characters) {
    int end = text.length();
    while (end > 0 && characters.indexOf(text.codePointBefore(end)) >= 0) {
      end -= Character.charCount(text.codePointBefore(end));
    }
    return text.substring(0, end);
  }

  /** The number of code points. */
  static int length(String text) {
    return text.codePointCount(0, text.length());
  }

  /** {@code repr(str)}. */
  static String repr(String text) {
    char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
    StringBuilder out = new StringBuilder().append(quote);
    text.codePoints()
        .forEach(
            c -> {
              switch (c) {
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\\' -> out.append("\\\\");
                default -> {
                  if (c == quote) {
                    out.append('\\').append(quote);
                  } else if (isPrintable(c)) {
                    out.appendCodePoint(c);
                  } else {
                    out.append(
                        String.format(
                            c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c));
                  }
                }
              }
            });
    return out.append(quote).toString();
  }

  private static boolean isPrintable(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.UNASSIGNED,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      case Character.SPACE_SEPARATOR -> c == ' ';
      default -> true;
    };
  }

  /** What stands between the quotes of a literal, with Python's escapes resolved. */
  static String unescape(String literal, int line) {
    if (literal.indexOf('\\') < 0) {
      return literal;
    }
    StringBuilder out = new StringBuilder();
    int at = 0;
    while (at < literal.length()) {
      char c = literal.charAt(at++);
      if (c != '\\') {
        out.append(c);
        continue;
      }
      char escape = literal.charAt(at++); // the lexer lets no literal end in a single backslash
      switch (escape) {
        case '\n' -> {}
        case 'n' -> out.append('\n');
        case 't' -> out.append('\t');
        case 'r' -> out.append('\r');
        case 'a' -> out.append('\007');
        case 'b' -> out.append('\b');
        case 'f' -> out.append('\f');
        case 'v' -> out.append('\013');
        case '\\', '\'', '"' -> out.append(escape);
        case 'x' -> at = codePoint(literal, at, 2, out, line);
        case 'u' -> at = codePoint(literal, at, 4, out, line);
        case 'U' -> at = codePoint(literal, at, 8, out, line);
        case 'N' -> at = named(literal, at, out, line);
        default -> {
          if (escape >= '0' && escape <= '7') {
            int end = at;
            while (end < literal.length() && end < at + 2 && isOctal(literal.charAt(end))) {
              end++;
            }
            out.appendCodePoint(Integer.parseInt(literal.substring(at - 1, end), 8));
            at = end;
          } else {
            out.append('\\').append(escape);
          }
        }
      }
    }
    return out.toString();
  }

  private static boolean isOctal(char c) {
    return c >= '0' && c <= '7';
  }

  private static int codePoint(String literal, int at, int digits, StringBuilder out, int line) {
    try {
      out.appendCodePoint(Integer.parseInt(literal.substring(at, at + digits), 16));
    } catch (IndexOutOfBoundsException | IllegalArgumentException e) {
      throw JinjaException.syntax("truncated or illegal escape in a string", line);
    }
    return at + digits;
  }

  private static int named(String literal, int at, StringBuilder out, int line) {
    int end = literal.indexOf('}', at);
    try {
      out.appendCodePoint(Character.codePointOf(literal.substring(at + 1, end)));
    } catch (IndexOutOfBoundsException | IllegalArgumentException e) {
      throw JinjaException.syntax("unknown character name in a string", line);
    }
    return end + 1;
  }
}
