package org.lorakernels.training.chat.jinja;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Python's {@code str.format}: fields, attributes and items, conversions, and format specs. */
final class BraceFormat {
  private static final Pattern SPEC =
      Pattern.compile(
          "(?:(?<fill>.)?(?<align>[<>^=]))?(?<sign>[-+ ])?#?(?<zero>0)?(?<width>\\d+)?(?<group>[,_])?"
              + "(?:\\.(?<precision>\\d+))?(?<type>[a-zA-Z%])?",
          Pattern.DOTALL);
  private static final Pattern STEP = Pattern.compile("\\.(?<name>[^.\\[]+)|\\[(?<key>[^\\]]+)\\]");

  private final Arguments arguments;
  private int next;

  private BraceFormat(Arguments arguments) {
    this.arguments = arguments;
  }

  static String format(String format, Arguments arguments) {
    return new BraceFormat(arguments).expand(format);
  }

  private String expand(String format) {
    StringBuilder out = new StringBuilder();
    int at = 0;
    while (at < format.length()) {
      char c = format.charAt(at);
      boolean doubled = at + 1 < format.length() && format.charAt(at + 1) == c;
      if ((c == '{' || c == '}') && doubled) {
        out.append(c);
        at += 2;
      } else if (c == '}') {
        throw JinjaException.value("Single '}' encountered in format string");
      } else if (c == '{') {
        int end = matching(format, at);
        out.append(field(format.substring(at + 1, end)));
        at = end + 1;
      } else {
        out.append(c);
        at++;
      }
    }
    return out.toString();
  }

  private static int matching(String format, int open) {
    int depth = 0;
    for (int i = open; i < format.length(); i++) {
      depth += format.charAt(i) == '{' ? 1 : format.charAt(i) == '}' ? -1 : 0;
      if (depth == 0) {
        return i;
      }
    }
    throw JinjaException.value("expected '}' before end of string");
  }

  private String field(String field) {
    int colon = field.indexOf(':');
    String head = colon < 0 ? field : field.substring(0, colon);
    int bang = head.indexOf('!');
    String path = bang < 0 ? head : head.substring(0, bang);
    Object value = resolve(path);
    if (bang >= 0) {
      value = head.substring(bang + 1).equals("s") ? Values.text(value) : Values.repr(value);
    }
    String spec = colon < 0 ? "" : expand(field.substring(colon + 1));
    return spec.isEmpty() ? Values.text(value) : specified(value, spec);
  }

  private Object resolve(String path) {
    int end = 0;
    while (end < path.length() && path.charAt(end) != '.' && path.charAt(end) != '[') {
      end++;
    }
    String first = path.substring(0, end);
    Object value;
    if (first.isEmpty() || first.chars().allMatch(Character::isDigit)) {
      int index = first.isEmpty() ? next++ : Integer.parseInt(first);
      if (index >= arguments.positional().size()) {
        throw new JinjaException(
            "IndexError", "Replacement index " + index + " out of range for positional args tuple");
      }
      value = arguments.positional().get(index);
    } else if (arguments.keywords().containsKey(first)) {
      value = arguments.keywords().get(first);
    } else {
      throw new JinjaException("KeyError", PythonText.repr(first));
    }
    Matcher step = STEP.matcher(path).region(end, path.length());
    while (step.find()) {
      String key = step.group("key");
      value =
          key == null
              ? Subscripts.attribute(value, step.group("name"))
              : Subscripts.item(
                  value,
                  key.chars().allMatch(Character::isDigit) ? (Object) Long.valueOf(key) : key);
    }
    return value;
  }

  private static String specified(Object value, String spec) {
    Matcher m = SPEC.matcher(spec);
    if (!m.matches()) {
      throw JinjaException.value("Invalid format specifier '" + spec + "'");
    }
    String type = m.group("type");
    int precision = m.group("precision") == null ? -1 : Integer.parseInt(m.group("precision"));
    boolean number = Numbers.isNumber(value) && !(value instanceof Boolean && type == null);
    String body =
        number ? number(value, type, precision, m.group("group")) : text(value, precision);
    if (number
        && m.group("sign") != null
        && !m.group("sign").equals("-")
        && !body.startsWith("-")) {
      body = m.group("sign") + body;
    }
    int missing =
        m.group("width") == null ? 0 : Integer.parseInt(m.group("width")) - PythonText.length(body);
    if (missing <= 0) {
      return body;
    }
    boolean zero = m.group("zero") != null && m.group("align") == null;
    String fill = zero ? "0" : m.group("fill") == null ? " " : m.group("fill");
    String align = m.group("align") != null ? m.group("align") : zero ? "=" : number ? ">" : "<";
    int sign = !body.isEmpty() && "+- ".indexOf(body.charAt(0)) >= 0 ? 1 : 0;
    return switch (align) {
      case "<" -> body + fill.repeat(missing);
      case "^" -> fill.repeat(missing / 2) + body + fill.repeat(missing - missing / 2);
      case "=" -> body.substring(0, sign) + fill.repeat(missing) + body.substring(sign);
      default -> fill.repeat(missing) + body;
    };
  }

  private static String text(Object value, int precision) {
    String text = Values.text(value);
    return precision < 0 || precision >= PythonText.length(text)
        ? text
        : text.substring(0, text.offsetByCodePoints(0, precision));
  }

  private static String number(Object value, String type, int precision, String group) {
    String kind = type == null ? (value instanceof Double ? "" : "d") : type;
    String body =
        switch (kind) {
          case "d" -> Long.toString(Numbers.index(value));
          case "x" -> Long.toString(Numbers.index(value), 16);
          case "X" -> Long.toString(Numbers.index(value), 16).toUpperCase(Locale.ROOT);
          case "o" -> Long.toString(Numbers.index(value), 8);
          case "b" -> Long.toString(Numbers.index(value), 2);
          case "%" ->
              PrintfFormat.real(100 * Numbers.real(value), 'f', precision < 0 ? 6 : precision)
                  + "%";
          case "f", "F", "e", "E", "g", "G" ->
              PrintfFormat.real(Numbers.real(value), kind.charAt(0), precision < 0 ? 6 : precision);
          case "" ->
              precision < 0
                  ? Values.text(value)
                  : PrintfFormat.real(Numbers.real(value), 'g', precision);
          default ->
              throw JinjaException.value(
                  "Unknown format code '"
                      + kind
                      + "' for object of type '"
                      + Values.typeName(value)
                      + "'");
        };
    return group == null ? body : grouped(body, group);
  }

  private static String grouped(String number, String separator) {
    int start = number.startsWith("-") ? 1 : 0;
    int end = start;
    while (end < number.length() && Character.isDigit(number.charAt(end))) {
      end++;
    }
    StringBuilder digits = new StringBuilder(number.substring(start, end));
    for (int at = digits.length() - 3; at > 0; at -= 3) {
      digits.insert(at, separator);
    }
    return number.substring(0, start) + digits + number.substring(end);
  }
}
