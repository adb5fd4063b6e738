package org.lorakernels.training.chat.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;

/** Python's arithmetic of bool, int (64 bits; beyond is an error) and float. */
final class Numbers {
  private Numbers() {}

  static boolean isNumber(Object value) {
    return value instanceof Long
        || value instanceof Double
        || value instanceof Boolean
        || value instanceof BigInteger;
  }

  static boolean isInteger(Object value) {
    return value instanceof Long || value instanceof Boolean;
  }

  static long integer(Object value) {
    return value instanceof Boolean bool ? (bool ? 1 : 0) : (Long) value;
  }

  static double real(Object value) {
    return value instanceof Boolean bool ? (bool ? 1 : 0) : ((Number) value).doubleValue();
  }

  /** An integer where Python wants one. */
  static long index(Object value) {
    if (value instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (!isInteger(value)) {
      throw JinjaException.type(
          "'" + Values.typeName(value) + "' object cannot be interpreted as an integer");
    }
    return integer(value);
  }

  static boolean equal(Object a, Object b) {
    return compare(a, b) == 0 && !isNan(a) && !isNan(b);
  }

  static boolean isNan(Object value) {
    return value instanceof Double number && number.isNaN();
  }

  /** Exact, whatever the types. */
  static int compare(Object a, Object b) {
    if (isInteger(a) && isInteger(b)) {
      return Long.compare(integer(a), integer(b));
    }
    double x = real(a);
    double y = real(b);
    if (!Double.isFinite(x) || !Double.isFinite(y)) {
      return x < y ? -1 : x > y ? 1 : 0;
    }
    return exact(a).compareTo(exact(b));
  }

  private static BigDecimal exact(Object value) {
    return value instanceof BigInteger big
        ? new BigDecimal(big)
        : isInteger(value) ? BigDecimal.valueOf(integer(value)) : new BigDecimal(real(value));
  }

  static Object negate(Object value) {
    return isInteger(value)
        ? (Object) exactly(() -> Math.negateExact(integer(value)))
        : -real(value);
  }

  /** {@code a op b} of numbers. */
  static Object binary(String operator, Object a, Object b) {
    if (isInteger(a) && isInteger(b)) {
      return integers(operator, integer(a), integer(b));
    }
    return reals(operator, real(a), real(b));
  }

  private static Object integers(String operator, long x, long y) {
    return switch (operator) {
      case "+" -> exactly(() -> Math.addExact(x, y));
      case "-" -> exactly(() -> Math.subtractExact(x, y));
      case "*" -> exactly(() -> Math.multiplyExact(x, y));
      case "/" -> (double) x / nonZero(y, "division by zero");
      case "//" -> Math.floorDiv(x, nonZero(y, "integer division or modulo by zero"));
      case "%" -> Math.floorMod(x, nonZero(y, "integer modulo by zero"));
      case "**" -> y < 0 ? (Object) Math.pow(x, y) : exactly(() -> power(x, y));
      default -> throw new IllegalArgumentException(operator);
    };
  }

  private static long power(long base, long exponent) {
    if (Math.abs(base) <= 1) {
      return exponent == 0 ? 1 : base < 0 && exponent % 2 == 0 ? 1 : base;
    }
    long result = 1;
    for (long i = 0; i < exponent; i++) {
      result = Math.multiplyExact(result, base);
    }
    return result;
  }

  private static Object reals(String operator, double x, double y) {
    return switch (operator) {
      case "+" -> x + y;
      case "-" -> x - y;
      case "*" -> x * y;
      case "/" -> x / nonZero(y, "float division by zero");
      case "//" -> Math.floor(x / nonZero(y, "float floor division by zero"));
      case "%" -> {
        double remainder = x % nonZero(y, "float modulo");
        yield remainder != 0 && (remainder < 0) != (y < 0) ? remainder + y : remainder;
      }
      case "**" -> Math.pow(x, y);
      default -> throw new IllegalArgumentException(operator);
    };
  }

  private static long nonZero(long value, String message) {
    if (value == 0) {
      throw new JinjaException("ZeroDivisionError", message);
    }
    return value;
  }

  private static double nonZero(double value, String message) {
    if (value == 0) {
      throw new JinjaException("ZeroDivisionError", message);
    }
    return value;
  }

  private interface Exact {
    long compute();
  }

  private static long exactly(Exact operation) {
    try {
      return operation.compute();
    } catch (ArithmeticException e) {
      throw new JinjaException("OverflowError", "an integer beyond 64 bits");
    }
  }

  /** {@code round(value, digits)}: half to even, on the exact value of the double. */
  static double round(double value, int digits, java.math.RoundingMode mode) {
    return Double.isFinite(value)
        ? new BigDecimal(value).setScale(digits, mode).doubleValue()
        : value;
  }
}
