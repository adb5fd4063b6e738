package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/** The argument {@code attribute} of filters: a path such as {@code function.parameters.0}. */
final class AttributeGetter {
  private AttributeGetter() {}

  /**
   * Reads a path from an item.
   *
   * @param path names and indices with dots between them, or an index; null: the item itself
   * @param otherwise in place of undefined; null: undefined stays
   */
  static Function<Object, Object> of(Object path, Object otherwise) {
    List<Object> parts = parts(path);
    return item -> {
      Object value = item;
      for (Object part : parts) {
        value = Subscripts.item(value, part);
        if (value instanceof Undefined && otherwise != null) {
          value = otherwise;
        }
      }
      return value;
    };
  }

  /** The same with strings in lower case unless {@code caseSensitive}. */
  static Function<Object, Object> key(Object path, boolean caseSensitive) {
    Function<Object, Object> getter = of(path, null);
    return caseSensitive ? getter : getter.andThen(AttributeGetter::lower);
  }

  static Object lower(Object value) {
    return value instanceof String text ? text.toLowerCase(Locale.ROOT) : value;
  }

  private static List<Object> parts(Object path) {
    List<Object> parts = new ArrayList<>();
    if (path == null) {
      return parts;
    }
    if (Numbers.isInteger(path)) {
      parts.add(path);
      return parts;
    }
    for (String part : Values.requireText("attribute", path).split("\\.", -1)) {
      boolean index = !part.isEmpty() && part.chars().allMatch(c -> c >= '0' && c <= '9');
      parts.add(index ? (Object) Long.valueOf(part) : part);
    }
    return parts;
  }
}
