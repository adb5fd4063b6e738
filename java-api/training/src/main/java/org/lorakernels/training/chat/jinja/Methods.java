package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The methods of Python's built-in types that the sandbox lets templates call. */
final class Methods {
  private static final Set<String> MUTATING_LISTS =
      Set.of("append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove");
  private static final Set<String> MUTATING_DICTS =
      Set.of("clear", "pop", "popitem", "setdefault", "update");

  private Methods() {}

  /** The method bound to its object; null where there is none. */
  static Callable find(Object object, String name) {
    if (object instanceof String text) {
      return StringMethods.find(text, name);
    }
    if (object instanceof Map<?, ?> map) {
      return dict(map, name);
    }
    if (object instanceof List<?> || object instanceof Tuple || object instanceof Range) {
      return sequence(object, name);
    }
    if (object instanceof Double number && name.equals("is_integer")) {
      return arguments -> number == Math.rint(number) && Double.isFinite(number);
    }
    if (object instanceof Long number && name.equals("bit_length")) {
      return arguments -> (long) (64 - Long.numberOfLeadingZeros(Math.abs(number)));
    }
    return null;
  }

  static boolean isMutating(Object object, String name) {
    return (object instanceof List && MUTATING_LISTS.contains(name))
        || (object instanceof Map && MUTATING_DICTS.contains(name));
  }

  private static Callable dict(Map<?, ?> map, String name) {
    return switch (name) {
      case "get" ->
          arguments -> {
            Object key = arguments.limit("get", 2).require(0, "get", "key");
            return map.containsKey(key) ? map.get(key) : arguments.get(1, "default", null);
          };
      case "items" ->
          arguments -> {
            arguments.limit("items", 0);
            List<Object> items = new ArrayList<>();
            map.forEach((key, value) -> items.add(Tuple.of(key, value)));
            return new View("dict_items", items);
          };
      case "keys" ->
          arguments -> {
            arguments.limit("keys", 0);
            return new View("dict_keys", new ArrayList<>(map.keySet()));
          };
      case "values" ->
          arguments -> {
            arguments.limit("values", 0);
            return new View("dict_values", new ArrayList<>(map.values()));
          };
      case "copy" ->
          arguments -> {
            arguments.limit("copy", 0);
            return new java.util.LinkedHashMap<Object, Object>(map);
          };
      default -> null;
    };
  }

  private static Callable sequence(Object object, String name) {
    return switch (name) {
      case "count" ->
          arguments -> {
            Object item = arguments.limit("count", 1).require(0, "count", "value");
            return Values.list(object).stream().filter(i -> Values.equal(i, item)).count();
          };
      case "index" ->
          arguments -> {
            Object item = arguments.limit("index", 1).require(0, "index", "value");
            List<Object> items = Values.list(object);
            for (int i = 0; i < items.size(); i++) {
              if (Values.equal(items.get(i), item)) {
                return (long) i;
              }
            }
            throw JinjaException.value(Values.repr(item) + " is not in list");
          };
      case "copy" -> object instanceof List<?> list ? arguments -> new ArrayList<>(list) : null;
      default -> null;
    };
  }
}
