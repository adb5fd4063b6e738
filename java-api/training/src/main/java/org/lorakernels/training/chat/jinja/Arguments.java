package org.lorakernels.training.chat.jinja;

import java.util.List;
import java.util.Map;

/**
 * The values that something is called with.
 *
 * @param positional in order
 * @param keywords by name, in order
 */
record Arguments(List<Object> positional, Map<String, Object> keywords) {
  static final Arguments NONE = new Arguments(List.of(), Map.of());

  static Arguments of(Object... positional) {
    return new Arguments(java.util.Arrays.asList(positional), Map.of());
  }

  boolean has(int index, String name) {
    return index < positional.size() || keywords.containsKey(name);
  }

  /** The argument at {@code index} or of that name; {@code otherwise} where it is not given. */
  Object get(int index, String name, Object otherwise) {
    if (index < positional.size()) {
      return positional.get(index);
    }
    return keywords.containsKey(name) ? keywords.get(name) : otherwise;
  }

  Object require(int index, String function, String name) {
    if (!has(index, name)) {
      throw JinjaException.type(
          function + "() missing a required argument: " + PythonText.repr(name));
    }
    return get(index, name, null);
  }

  String text(int index, String function, String name) {
    return Values.requireText(function, require(index, function, name));
  }

  boolean truth(int index, String name, boolean otherwise) {
    return Values.truth(get(index, name, otherwise));
  }

  /** Refuses more than {@code most} arguments. */
  Arguments limit(String function, int most) {
    int given = positional.size() + keywords.size();
    if (given > most) {
      throw JinjaException.type(
          function + "() takes at most " + most + " arguments (" + given + " given)");
    }
    return this;
  }

  /** Without the first {@code count} positional ones. */
  Arguments skip(int count) {
    return new Arguments(
        positional.subList(Math.min(count, positional.size()), positional.size()), keywords);
  }
}
