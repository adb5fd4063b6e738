package org.lorakernels.training.chat.jinja;

import java.util.Arrays;
import java.util.List;

/**
 * Python's tuple.
 *
 * @param items what it holds
 * @param names of the items where it is a named tuple; otherwise empty
 */
record Tuple(List<Object> items, List<String> names) {
  Tuple(List<Object> items) {
    this(items, List.of());
  }

  static Tuple of(Object... items) {
    return new Tuple(Arrays.asList(items));
  }
}
