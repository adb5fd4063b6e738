package org.lorakernels.training.chat.jinja;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Python's {@code format % values}: conversions s, r, a, d, i, u, f, F, e, E, g, G, x, X, o, c. */
final class PrintfFormat {
  private static final Pattern CONVERSION =
      Pattern.compile(
          "%(?:\\((?<key>[^)]*)\\))?(?<flags>[-+ #0]*)(?<width>\\d+)?(?:\\.(?<precision>\\d+))?[hlL]?(?<type>.)",
          Pattern.DOTALL);

  private PrintfFormat() {}

  static String format(String format, Object values) {
    List<Object> items = values instanceof Tuple tuple ? tuple.items() : List.of(wrap(values));
    boolean single = !(values instanceof Tuple);
    StringBuilder out = new StringBuilder();
    Matcher matcher = CONVERSION.matcher(format);
    int at = 0;
    int used = 0;
    boolean byName = false;
    while (matcher.find(at)) {
      out.append(format, at, matcher.start());
      at = matcher.end();
      if (matcher.group("type").equals("%")) {
        out.append('%');
        continue;
      }
      Object value;
      if (matcher.group("key") != null) {
        if (!(values instanceof Map<?, ?> map)) {
          throw JinjaException.type("format requires a mapping");
        }
        byName = true;
        if (!map.containsKey(matcher.group("key"))) {
          throw new JinjaException("KeyError", PythonText.repr(matcher.group("key")));
        }
        value = map.get(matcher.group("key"));
      } else if (used < items.size()) {
        value = unwrap(items.get(used++), single);
      } else {
        throw JinjaException.type("not enough arguments for format string");
      }
      out.append(convert(matcher, value));
    }
    String rest = format.substring(at);
    if (rest.indexOf('%') >= 0) {
      throw JinjaException.value("incomplete format");
    }
    if (used < items.size() && !byName && !isSubscripted(values)) {
      throw JinjaException.type("not all arguments converted during string formatting");
    }
    return out.append(rest).toString();
  }

  /** What Python takes for a mapping here, all of which need not be used. */
  private static boolean isSubscripted(Object values) {
    return values instanceof Map
        || values instanceof List
        || values instanceof Range
        || values instanceof Undefined;
  }

  /** {@link List#of} takes no null. */
  private static Object wrap(Object value) {
    return value == null ? Values.MISSING : value;
  }

  private static Object unwrap(Object value, boolean single) {
    return single && value == Values.MISSING ? null : value;
  }

  private static String convert(Matcher matcher, Object value) {
    String flags = matcher.group("flags");
    String width = matcher.group("width");
    String precision = matcher.group("precision");
    char type = matcher.group("type").charAt(0);
    int digits = precision == null ? -1 : Integer.parseInt(precision);
    String body =
        switch (type) {
          case 's' -> cut(Values.text(value), digits);
          case 'r', 'a' -> cut(Values.repr(value), digits);
          case 'c' ->
              value instanceof String text ? text : Character.toString((int) Numbers.index(value));
          case 'd', 'i', 'u' -> signed(Long.toString((long) number(value, type)), flags);
          case 'x' -> signed(Long.toString(Numbers.index(value), 16), flags);
          case 'X' ->
              signed(Long.toString(Numbers.index(value), 16).toUpperCase(Locale.ROOT), flags);
          case 'o' -> signed(Long.toString(Numbers.index(value), 8), flags);
          case 'f', 'F', 'e', 'E', 'g', 'G' ->
              signed(real(number(value, type), type, digits < 0 ? 6 : digits), flags);
          default -> throw JinjaException.value("unsupported format character '" + type + "'");
        };
    int missing = width == null ? 0 : Integer.parseInt(width) - PythonText.length(body);
    if (missing <= 0) {
      return body;
    }
    if (flags.contains("-")) {
      return body + " ".repeat(missing);
    }
    boolean zeros = flags.contains("0") && "srac".indexOf(type) < 0;
    int sign = zeros && !body.isEmpty() && "+- ".indexOf(body.charAt(0)) >= 0 ? 1 : 0;
    return zeros
        ? body.substring(0, sign) + "0".repeat(missing) + body.substring(sign)
        : " ".repeat(missing) + body;
  }

  private static String cut(String text, int digits) {
    return digits < 0 || digits >= PythonText.length(text)
        ? text
        : text.substring(0, text.offsetByCodePoints(0, digits));
  }

  private static double number(Object value, char type) {
    if (!Numbers.isNumber(value)) {
      throw JinjaException.type(
          type == 'd' || type == 'i' || type == 'u'
              ? "%" + type + " format: a real number is required, not " + Values.typeName(value)
              : "must be real number, not " + Values.typeName(value));
    }
    return Numbers.real(value);
  }

  private static String signed(String number, String flags) {
    if (number.startsWith("-")) {
      return number;
    }
    return (flags.contains("+") ? "+" : flags.contains(" ") ? " " : "") + number;
  }

  /** A float under the types f, e and g of Python's format mini-language. */
  static String real(double value, char type, int digits) {
    if (!Double.isFinite(value)) {
      return Values.floatText(value);
    }
    BigDecimal exact = new BigDecimal(value);
    String sign = value < 0 || 1 / value < 0 ? "-" : "";
    String body =
        switch (Character.toLowerCase(type)) {
          case 'f' -> exact.abs().setScale(digits, RoundingMode.HALF_EVEN).toPlainString();
          case 'e' -> exponent(exact.abs(), digits);
          default -> general(exact.abs(), Math.max(1, digits));
        };
    return sign + (Character.isUpperCase(type) ? body.toUpperCase(Locale.ROOT) : body);
  }

  private static String exponent(BigDecimal value, int digits) {
    BigDecimal rounded = significant(value, digits + 1);
    int power = power(rounded);
    String text =
        rounded.movePointLeft(power).setScale(digits, RoundingMode.HALF_EVEN).toPlainString();
    return text + "e" + (power < 0 ? "-" : "+") + String.format("%02d", Math.abs(power));
  }

  private static String general(BigDecimal value, int digits) {
    BigDecimal rounded = significant(value, digits);
    int power = power(rounded);
    if (power < -4 || power >= digits) {
      String[] parts = exponent(value, digits - 1).split("e");
      return strip(parts[0]) + "e" + parts[1];
    }
    return strip(
        rounded.setScale(Math.max(0, digits - 1 - power), RoundingMode.HALF_EVEN).toPlainString());
  }

  private static BigDecimal significant(BigDecimal value, int digits) {
    return value.round(new java.math.MathContext(digits, RoundingMode.HALF_EVEN));
  }

  private static int power(BigDecimal value) {
    return value.signum() == 0 ? 0 : value.precision() - value.scale() - 1;
  }

  private static String strip(String number) {
    return number.indexOf('.') < 0 ? number : number.replaceAll("0+$", "").replaceAll("\\.$", "");
  }
}
