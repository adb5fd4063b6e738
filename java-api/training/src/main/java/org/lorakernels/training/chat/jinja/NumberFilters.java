package org.lorakernels.training.chat.jinja;

import java.math.BigInteger;
import java.math.RoundingMode;
import java.util.Map;
import java.util.function.Function;

/** Filters over numbers. */
final class NumberFilters {
  private NumberFilters() {}

  static void register(Map<String, Filters.Filter> into) {
    into.put("abs", NumberFilters::abs);
    into.put("int", NumberFilters::integer);
    into.put("float", NumberFilters::real);
    into.put("round", NumberFilters::round);
    into.put("sum", NumberFilters::sum);
  }

  private static Object abs(Object input, Arguments arguments) {
    arguments.limit("abs", 0);
    if (input instanceof Undefined) {
      throw JinjaException.type("bad operand type for abs(): 'Undefined'");
    }
    Object number = Operators.sign('+', input);
    return number instanceof Long integer ? (Object) Math.abs(integer) : Math.abs((Double) number);
  }

  private static Object integer(Object input, Arguments arguments) {
    Object otherwise = arguments.limit("int", 2).get(0, "default", 0L);
    int base = (int) Numbers.index(arguments.get(1, "base", 10L));
    if (Numbers.isInteger(input)) {
      return Numbers.integer(input);
    }
    if (input instanceof String text) {
      try {
        return parse(PythonText.strip(text).replaceAll("(?<=\\w)_(?=\\w)", ""), base);
      } catch (NumberFormatException | ArithmeticException e) {
        // not an integer: perhaps a float, as Jinja2 tries next
      }
    }
    Object number = real(input, Arguments.of(Double.NaN));
    return number instanceof Double real && Double.isFinite(real)
        ? (Object) real.longValue()
        : otherwise;
  }

  private static long parse(String text, int base) {
    String sign = text.startsWith("-") ? "-" : "";
    String digits = text.startsWith("-") || text.startsWith("+") ? text.substring(1) : text;
    String prefix = base == 16 ? "0x" : base == 8 ? "0o" : base == 2 ? "0b" : "";
    if (!prefix.isEmpty() && digits.toLowerCase(java.util.Locale.ROOT).startsWith(prefix)) {
      digits = digits.substring(2);
    }
    if (digits.startsWith("-") || digits.startsWith("+")) {
      throw new NumberFormatException(text);
    }
    return new BigInteger(sign + digits, base).longValueExact();
  }

  private static Object real(Object input, Arguments arguments) {
    Object otherwise = arguments.limit("float", 1).get(0, "default", 0.0);
    if (Numbers.isNumber(input)) {
      return Numbers.real(input);
    }
    if (input instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (!(input instanceof String text)) {
      return otherwise;
    }
    String number = PythonText.strip(text).toLowerCase(java.util.Locale.ROOT);
    if (number.matches("[+-]?(\\d+(_\\d+)*\\.?(\\d+(_\\d+)*)?|\\.\\d+(_\\d+)*)(e[+-]?\\d+)?")) {
      return Double.valueOf(number.replace("_", ""));
    }
    return switch (number.replaceFirst("^[+-]", "")) {
      case "inf", "infinity" ->
          number.startsWith("-") ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
      case "nan" -> Double.NaN;
      default -> otherwise;
    };
  }

  private static Object round(Object input, Arguments arguments) {
    int precision = (int) Numbers.index(arguments.limit("round", 2).get(0, "precision", 0L));
    Object method = arguments.get(1, "method", "common");
    if (!Numbers.isNumber(input)) {
      throw JinjaException.type(
          "type " + Values.typeName(input) + " doesn't define __round__ method");
    }
    if ("common".equals(method)) {
      return Numbers.isInteger(input) && precision >= 0
          ? (Object) Numbers.integer(input)
          : Numbers.isInteger(input)
              ? (Object)
                  (long) Numbers.round(Numbers.real(input), precision, RoundingMode.HALF_EVEN)
              : (Object) Numbers.round(Numbers.real(input), precision, RoundingMode.HALF_EVEN);
    }
    if (!"ceil".equals(method) && !"floor".equals(method)) {
      throw new JinjaException("FilterArgumentError", "method must be common, ceil or floor");
    }
    double scale = Math.pow(10, precision);
    double scaled = Numbers.real(input) * scale;
    return ("ceil".equals(method) ? Math.ceil(scaled) : Math.floor(scaled)) / scale;
  }

  private static Object sum(Object input, Arguments arguments) {
    Function<Object, Object> getter =
        AttributeGetter.of(arguments.limit("sum", 2).get(0, "attribute", null), null);
    Object total = arguments.get(1, "start", 0L);
    for (Object item : Values.list(input)) {
      total = Operators.binary("+", total, getter.apply(item));
    }
    return total;
  }
}
