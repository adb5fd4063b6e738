package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Python's operators on values that need not be numbers. */
final class Operators {
  private Operators() {}

  static Object binary(String operator, Object a, Object b) {
    if (a instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (operator.equals("%") && a instanceof String format) {
      return PrintfFormat.format(format, b);
    }
    if (b instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (Numbers.isNumber(a) && Numbers.isNumber(b)) {
      return Numbers.binary(operator, a, b);
    }
    if (operator.equals("+")) {
      if (a instanceof String x && b instanceof String y) {
        return x + y;
      }
      if (a instanceof List<?> x && b instanceof List<?> y) {
        return concatenate(x, y);
      }
      if (a instanceof Tuple x && b instanceof Tuple y) {
        return new Tuple(concatenate(x.items(), y.items()));
      }
      if (a instanceof String || a instanceof List || a instanceof Tuple) {
        String type = Values.typeName(a);
        throw JinjaException.type(
            "can only concatenate " + type + " (not \"" + Values.typeName(b) + "\") to " + type);
      }
    }
    if (operator.equals("*") && Numbers.isInteger(b) && isSequence(a)) {
      return repeat(a, Numbers.integer(b));
    }
    if (operator.equals("*") && Numbers.isInteger(a) && isSequence(b)) {
      return repeat(b, Numbers.integer(a));
    }
    throw JinjaException.type(
        "unsupported operand type(s) for "
            + (operator.equals("**") ? "** or pow()" : operator)
            + ": '"
            + Values.typeName(a)
            + "' and '"
            + Values.typeName(b)
            + "'");
  }

  static Object sign(char operator, Object value) {
    if (value instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (!Numbers.isNumber(value)) {
      throw JinjaException.type(
          "bad operand type for unary " + operator + ": '" + Values.typeName(value) + "'");
    }
    return operator == '-' ? Numbers.negate(value) : Numbers.binary("+", value, 0L);
  }

  /** {@code a operator b} of a comparison. */
  static boolean compare(String operator, Object a, Object b) {
    return switch (operator) {
      case "==" -> Values.equal(a, b);
      case "!=" -> !Values.equal(a, b);
      case "in" -> contains(b, a);
      case "not in" -> !contains(b, a);
      default -> {
        if (Numbers.isNan(a) || Numbers.isNan(b)) {
          yield false;
        }
        int order = order(operator, a, b);
        yield switch (operator) {
          case "<" -> order < 0;
          case "<=" -> order <= 0;
          case ">" -> order > 0;
          default -> order >= 0;
        };
      }
    };
  }

  /** Negative, 0 or positive, as {@code a} is below, equal to or above {@code b}. */
  static int order(String operator, Object a, Object b) {
    if (a instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (b instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (Numbers.isNumber(a) && Numbers.isNumber(b)) {
      return Numbers.compare(a, b);
    }
    if (a instanceof String x && b instanceof String y) {
      return compareText(x, y);
    }
    if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
      List<Object> x = Values.list(a);
      List<Object> y = Values.list(b);
      for (int i = 0; i < Math.min(x.size(), y.size()); i++) {
        if (!Values.equal(x.get(i), y.get(i))) {
          return order(operator, x.get(i), y.get(i));
        }
      }
      return Integer.compare(x.size(), y.size());
    }
    throw JinjaException.type(
        "'"
            + operator
            + "' not supported between instances of '"
            + Values.typeName(a)
            + "' and '"
            + Values.typeName(b)
            + "'");
  }

  /** By code points, which UTF-16 does not order so. */
  private static int compareText(String x, String y) {
    int at = 0;
    while (at < x.length() && at < y.length() && x.charAt(at) == y.charAt(at)) {
      at++;
    }
    if (at == x.length() || at == y.length()) {
      return Integer.compare(x.length(), y.length());
    }
    boolean inside = at > 0 && Character.isHighSurrogate(x.charAt(at - 1));
    return Integer.compare(
        x.codePointAt(inside ? at - 1 : at), y.codePointAt(inside ? at - 1 : at));
  }

  static boolean contains(Object container, Object item) {
    if (container instanceof String text) {
      if (!(item instanceof String part)) {
        throw JinjaException.type(
            "'in <string>' requires string as left operand, not " + Values.typeName(item));
      }
      return text.contains(part);
    }
    if (container instanceof Map<?, ?> map) {
      return map.containsKey(Values.requireHashable(item));
    }
    if (!Values.isIterable(container)) {
      throw JinjaException.type(
          "argument of type '" + Values.typeName(container) + "' is not iterable");
    }
    return Values.list(container).stream().anyMatch(other -> Values.equal(other, item));
  }

  private static List<Object> concatenate(List<?> x, List<?> y) {
    List<Object> result = new ArrayList<>(x);
    result.addAll(y);
    return result;
  }

  private static boolean isSequence(Object value) {
    return value instanceof String || value instanceof List || value instanceof Tuple;
  }

  private static Object repeat(Object sequence, long times) {
    int count = (int) Math.max(0, Math.min(times, Integer.MAX_VALUE));
    long size = Values.length(sequence) * count;
    if (size > 100_000_000) {
      throw new JinjaException("MemoryError", "a sequence of " + size + " items");
    }
    if (sequence instanceof String text) {
      return text.repeat(count);
    }
    List<Object> items = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      items.addAll(Values.list(sequence));
    }
    return sequence instanceof Tuple ? new Tuple(items) : items;
  }
}
