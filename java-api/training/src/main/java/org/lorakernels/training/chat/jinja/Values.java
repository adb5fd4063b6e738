package org.lorakernels.training.chat.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.lorakernels.json.JsonNumber;

/** What Python's built-in functions say of values: type, bool, str, repr, ==, len, iter. */
final class Values {
  /** What an attribute that does not exist gives; never a value of a template. */
  static final Object MISSING = new Object();

  private Values() {}

  /** A value of the caller's as one of the package's: no other numbers than Long and Double. */
  static Object fromJava(Object value) {
    if (value instanceof Integer || value instanceof Short || value instanceof Byte) {
      return ((Number) value).longValue();
    }
    if (value instanceof Float number) {
      return number.doubleValue();
    }
    if (value instanceof List<?> list) {
      List<Object> copy = new ArrayList<>(list.size());
      list.forEach(item -> copy.add(fromJava(item)));
      return copy;
    }
    if (value instanceof Map<?, ?> map) {
      Map<Object, Object> copy = new LinkedHashMap<>();
      map.forEach((key, item) -> copy.put(fromJava(key), fromJava(item)));
      return copy;
    }
    if (value == null
        || value instanceof String
        || value instanceof Boolean
        || value instanceof Long
        || value instanceof Double
        || value instanceof BigInteger) {
      return value;
    }
    throw JinjaException.type("a template cannot take a " + value.getClass().getName());
  }

  /** {@code type(value).__name__}. */
  static String typeName(Object value) {
    String qualified = qualifiedTypeName(value);
    return qualified.substring(qualified.lastIndexOf('.') + 1);
  }

  static String qualifiedTypeName(Object value) {
    if (value == null) {
      return "NoneType";
    }
    if (value instanceof HasAttributes object) {
      return object.type();
    }
    if (value instanceof View view) {
      return view.type();
    }
    return value instanceof String
        ? "str"
        : value instanceof Boolean
            ? "bool"
            : value instanceof Long || value instanceof BigInteger
                ? "int"
                : value instanceof Double
                    ? "float"
                    : value instanceof List
                        ? "list"
                        : value instanceof Map
                            ? "dict"
                            : value instanceof Tuple
                                ? "tuple"
                                : value instanceof Range
                                    ? "range"
                                    : value instanceof Generator
                                        ? "generator"
                                        : value instanceof Undefined
                                            ? "jinja2.runtime.Undefined"
                                            : "function";
  }

  /** {@code bool(value)}. */
  static boolean truth(Object value) {
    if (value == null || value instanceof Undefined) {
      return false;
    }
    if (value instanceof Boolean bool) {
      return bool;
    }
    if (value instanceof Number number) {
      return number.doubleValue() != 0;
    }
    if (value instanceof String text) {
      return !text.isEmpty();
    }
    return !hasLength(value) || length(value) != 0;
  }

  /** {@code str(value)}, as a template prints it. */
  static String text(Object value) {
    return value instanceof String text ? text : value instanceof Undefined ? "" : repr(value);
  }

  /** {@code repr(value)}. */
  static String repr(Object value) {
    if (value == null) {
      return "None";
    }
    if (value instanceof String text) {
      return PythonText.repr(text);
    }
    if (value instanceof Boolean bool) {
      return bool ? "True" : "False";
    }
    if (value instanceof Double number) {
      return floatText(number);
    }
    if (value instanceof List<?> list) {
      return "[" + reprs(list) + "]";
    }
    if (value instanceof Tuple tuple) {
      return "(" + reprs(tuple.items()) + (tuple.items().size() == 1 ? ",)" : ")");
    }
    if (value instanceof View view) {
      return view.type() + "([" + reprs(view.items()) + "])";
    }
    if (value instanceof Map<?, ?> map) {
      return map.entrySet().stream()
          .map(entry -> repr(entry.getKey()) + ": " + repr(entry.getValue()))
          .collect(Collectors.joining(", ", "{", "}"));
    }
    if (value instanceof Namespace namespace) {
      return "<Namespace " + repr(namespace.attributes()) + ">";
    }
    if (value instanceof Undefined) {
      return "Undefined";
    }
    if (value instanceof Long || value instanceof BigInteger || value instanceof Range) {
      return value.toString();
    }
    return "<" + qualifiedTypeName(value) + " object>";
  }

  private static String reprs(List<?> items) {
    return items.stream().map(Values::repr).collect(Collectors.joining(", "));
  }

  /** {@code repr(float)}. */
  static String floatText(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    return JsonNumber.of(value).toString();
  }

  /** {@code a == b}. */
  static boolean equal(Object a, Object b) {
    if (Numbers.isNumber(a) && Numbers.isNumber(b)) {
      return Numbers.equal(a, b);
    }
    if (a instanceof List<?> x && b instanceof List<?> y) {
      return equalItems(x, y);
    }
    if (a instanceof Tuple x && b instanceof Tuple y) {
      return equalItems(x.items(), y.items());
    }
    if (a instanceof Map<?, ?> x && b instanceof Map<?, ?> y) {
      return x.size() == y.size()
          && x.entrySet().stream()
              .allMatch(e -> y.containsKey(e.getKey()) && equal(e.getValue(), y.get(e.getKey())));
    }
    return a == null ? b == null : a.equals(b);
  }

  private static boolean equalItems(List<?> x, List<?> y) {
    boolean equal = x.size() == y.size();
    for (int i = 0; equal && i < x.size(); i++) {
      equal = equal(x.get(i), y.get(i));
    }
    return equal;
  }

  static boolean hasLength(Object value) {
    return value instanceof String
        || value instanceof List
        || value instanceof Map
        || value instanceof Tuple
        || value instanceof View
        || value instanceof Range
        || value instanceof Undefined
        || value instanceof LoopState;
  }

  /** {@code len(value)}. */
  static long length(Object value) {
    if (value instanceof String text) {
      return PythonText.length(text);
    }
    if (value instanceof Range range) {
      return range.length();
    }
    if (value instanceof LoopState loop) {
      return loop.length();
    }
    if (!hasLength(value)) {
      throw JinjaException.type("object of type '" + typeName(value) + "' has no len()");
    }
    return list(value).size();
  }

  static boolean isIterable(Object value) {
    return hasLength(value) || value instanceof Generator;
  }

  /** {@code iter(value)}. */
  static Iterator<Object> iterator(Object value) {
    if (value instanceof Generator generator) {
      return generator;
    }
    return list(value).iterator();
  }

  /** {@code list(value)}; for reading alone. */
  @SuppressWarnings("unchecked")
  static List<Object> list(Object value) {
    if (value instanceof List<?> list) {
      return (List<Object>) list;
    }
    if (value instanceof Tuple tuple) {
      return tuple.items();
    }
    if (value instanceof View view) {
      return view.items();
    }
    if (value instanceof Range range) {
      return range.items();
    }
    if (value instanceof Map<?, ?> map) {
      return new ArrayList<>(map.keySet());
    }
    if (value instanceof Undefined) {
      return List.of();
    }
    List<Object> items = new ArrayList<>();
    if (value instanceof String text) {
      text.codePoints().forEach(c -> items.add(Character.toString(c)));
    } else if (value instanceof Generator generator) {
      generator.forEachRemaining(items::add);
    } else {
      throw JinjaException.type("'" + typeName(value) + "' object is not iterable");
    }
    return items;
  }

  static String requireText(String function, Object value) {
    if (value instanceof String text) {
      return text;
    }
    if (value instanceof Undefined undefined) {
      throw undefined.error();
    }
    throw JinjaException.type(function + " expects a string, not " + typeName(value));
  }

  /** What may be a key of a dictionary. */
  static Object requireHashable(Object value) {
    if (value instanceof List || value instanceof Map) {
      throw JinjaException.type("unhashable type: '" + typeName(value) + "'");
    }
    return value;
  }

  static Map<String, Object> stringKeys(Map<?, ?> map) {
    Map<String, Object> result = new LinkedHashMap<>();
    map.forEach((key, value) -> result.put(text(key), value));
    return result;
  }
}
