package org.lorakernels.training.chat.jinja;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Jinja2's tests: what may follow {@code is}. */
final class Tests {
  /** A test. */
  @FunctionalInterface
  private interface Test {
    boolean holds(Object value, Arguments arguments);
  }

  private static final Map<String, Test> ALL = new HashMap<>();

  static {
    ALL.put("defined", (v, a) -> !(v instanceof Undefined));
    ALL.put("undefined", (v, a) -> v instanceof Undefined);
    ALL.put("none", (v, a) -> v == null);
    ALL.put("boolean", (v, a) -> v instanceof Boolean);
    ALL.put("true", (v, a) -> Boolean.TRUE.equals(v));
    ALL.put("false", (v, a) -> Boolean.FALSE.equals(v));
    ALL.put(
        "integer", (v, a) -> Numbers.isNumber(v) && !(v instanceof Boolean || v instanceof Double));
    ALL.put("float", (v, a) -> v instanceof Double);
    ALL.put("number", (v, a) -> Numbers.isNumber(v));
    ALL.put("string", (v, a) -> v instanceof String);
    ALL.put("mapping", (v, a) -> v instanceof Map);
    ALL.put("sequence", (v, a) -> isSequence(v));
    ALL.put("iterable", (v, a) -> Values.isIterable(v));
    ALL.put("callable", (v, a) -> v instanceof Callable || v instanceof Undefined);
    ALL.put("sameas", (v, a) -> isSame(v, operand("sameas", a)));
    ALL.put("escaped", (v, a) -> false);
    ALL.put("odd", (v, a) -> modulo(v, 2L).equals(1L));
    ALL.put("even", (v, a) -> modulo(v, 2L).equals(0L));
    ALL.put("divisibleby", (v, a) -> Values.equal(modulo(v, operand("divisibleby", a)), 0L));
    ALL.put("lower", (v, a) -> stringTest(v, "islower"));
    ALL.put("upper", (v, a) -> stringTest(v, "isupper"));
    ALL.put("in", (v, a) -> Operators.contains(operand("in", a), v));
    ALL.put("filter", (v, a) -> v instanceof String name && Filters.exists(name));
    ALL.put("test", (v, a) -> v instanceof String name && exists(name));
    compare("==", "==", "eq", "equalto");
    compare("!=", "!=", "ne");
    compare("<", "<", "lt", "lessthan");
    compare("<=", "<=", "le");
    compare(">", ">", "gt", "greaterthan");
    compare(">=", ">=", "ge");
  }

  private Tests() {}

  private static void compare(String operator, String... names) {
    for (String name : names) {
      ALL.put(name, (v, a) -> Operators.compare(operator, v, operand(name, a)));
    }
  }

  static boolean exists(String name) {
    return ALL.containsKey(name);
  }

  static boolean apply(String name, Object value, Arguments arguments) {
    Test test = ALL.get(name);
    if (test == null) {
      throw new JinjaException(
          "TemplateRuntimeError", "No test named " + PythonText.repr(name) + ".");
    }
    return test.holds(value, arguments);
  }

  private static Object operand(String name, Arguments arguments) {
    return arguments.limit(name, 1).require(0, name, "other");
  }

  private static Object modulo(Object value, Object by) {
    return Operators.binary("%", value, by);
  }

  private static boolean stringTest(Object value, String method) {
    return Values.truth(StringMethods.find(Values.text(value), method).call(Arguments.NONE));
  }

  private static boolean isSequence(Object value) {
    return value instanceof String
        || value instanceof List
        || value instanceof Tuple
        || value instanceof Map
        || value instanceof Range
        || value instanceof Undefined;
  }

  /** Identity; Python shares its constants and small numbers, so that equal ones are the same. */
  private static boolean isSame(Object a, Object b) {
    return a == b
        || (a != null
            && b != null
            && a.getClass() == b.getClass()
            && (a instanceof Boolean || a instanceof Long || a instanceof String)
            && a.equals(b));
  }
}
