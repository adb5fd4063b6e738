package org.lorakernels.training.chat.jinja;

import java.util.HashMap;
import java.util.Map;

/** Variables of a template, a loop's iteration, a macro's call; the ones around it are seen too. */
final class Scope {
  private final Scope outer;
  private final Map<String, Object> variables = new HashMap<>();

  Scope(Scope outer) {
    this.outer = outer;
  }

  void set(String name, Object value) {
    variables.put(name, value);
  }

  /** The nearest variable of that name; {@link Values#MISSING} where there is none. */
  Object get(String name) {
    for (Scope scope = this; scope != null; scope = scope.outer) {
      if (scope.variables.containsKey(name)) {
        return scope.variables.get(name);
      }
    }
    return Values.MISSING;
  }
}
