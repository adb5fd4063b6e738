package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** {@code object.name} and {@code object[key]} under the rules of Jinja2's sandbox. */
final class Subscripts {
  private Subscripts() {}

  /** A slice as a key, its parts null where left out. */
  record Slice(Object start, Object stop, Object step) {}

  /** {@code object.name}: an attribute (also a method), then an item, then undefined. */
  static Object attribute(Object object, String name) {
    if (object instanceof Undefined undefined) {
      throw undefined.error();
    }
    Object found = ownAttribute(object, name);
    if (found != Values.MISSING) {
      return found;
    }
    if (object instanceof Map<?, ?> map && map.containsKey(name)) {
      return map.get(name);
    }
    return Undefined.attribute(object, name);
  }

  /** {@code object[key]}: an item, then an attribute, then undefined. */
  static Object item(Object object, Object key) {
    if (object instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (key instanceof Slice && !isIndexed(object)) {
      throw JinjaException.type(
          object instanceof Map
              ? "unhashable type: 'slice'"
              : "'" + Values.typeName(object) + "' object is not subscriptable");
    }
    if (object instanceof Map<?, ?> map
        && !(key instanceof List || key instanceof Map)
        && map.containsKey(key)) {
      return map.get(key);
    }
    if (isIndexed(object)) {
      if (key instanceof Slice slice) {
        return slice(object, slice);
      }
      if (Numbers.isInteger(key)) {
        return index(object, Numbers.integer(key));
      }
    }
    if (key instanceof String name) {
      Object found = ownAttribute(object, name);
      if (found != Values.MISSING) {
        return found;
      }
    }
    return Undefined.item(object, key);
  }

  /** What Python's getattr finds. */
  static Object ownAttribute(Object object, String name) {
    if (name.startsWith("__") && name.endsWith("__")) {
      return Undefined.unsafe(object, name);
    }
    if (object instanceof HasAttributes attributes) {
      return attributes.attribute(name);
    }
    if (object instanceof Tuple tuple && tuple.names().contains(name)) {
      return tuple.items().get(tuple.names().indexOf(name));
    }
    Callable method = Methods.find(object, name);
    if (method != null) {
      return method;
    }
    return Methods.isMutating(object, name) ? Undefined.unsafe(object, name) : Values.MISSING;
  }

  private static boolean isIndexed(Object object) {
    return object instanceof String
        || object instanceof List
        || object instanceof Tuple
        || object instanceof Range;
  }

  private static Object index(Object object, long index) {
    List<Object> items = Values.list(object);
    long at = index < 0 ? index + items.size() : index;
    return at >= 0 && at < items.size() ? items.get((int) at) : Undefined.item(object, index);
  }

  private static Object slice(Object object, Slice slice) {
    List<Object> items = Values.list(object);
    int size = items.size();
    long step = slice.step() == null ? 1 : bound(slice.step());
    step = Math.max(-Integer.MAX_VALUE, Math.min(step, Integer.MAX_VALUE)); // no overflow below
    if (step == 0) {
      throw JinjaException.value("slice step cannot be zero");
    }
    long start = clamp(slice.start(), step > 0 ? 0 : size - 1, size, step);
    long stop = clamp(slice.stop(), step > 0 ? size : -1, size, step);
    List<Object> picked = new ArrayList<>();
    for (long i = start; step > 0 ? i < stop : i > stop; i += step) {
      picked.add(items.get((int) i));
    }
    if (object instanceof String) {
      StringBuilder text = new StringBuilder();
      picked.forEach(text::append);
      return text.toString();
    }
    return object instanceof Tuple ? new Tuple(picked) : picked;
  }

  private static long clamp(Object bound, long otherwise, int size, long step) {
    if (bound == null) {
      return otherwise;
    }
    long at = bound(bound);
    at = at < 0 ? at + size : at;
    return step > 0 ? Math.max(0, Math.min(at, size)) : Math.max(-1, Math.min(at, size - 1));
  }

  private static long bound(Object value) {
    if (!Numbers.isInteger(value)) {
      throw JinjaException.type(
          "slice indices must be integers or None or have an __index__ method");
    }
    return Numbers.integer(value);
  }
}
