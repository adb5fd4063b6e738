package org.lorakernels.training.chat.jinja;

import java.util.LinkedHashMap;
import java.util.Map;

/** Jinja2's filters by name, with transformers' {@code tojson}. */
final class Filters {
  /** A filter. */
  @FunctionalInterface
  interface Filter {
    Object apply(Object input, Arguments arguments);
  }

  private static final Map<String, Filter> ALL = new LinkedHashMap<>();

  static {
    TextFilters.register(ALL);
    SequenceFilters.register(ALL);
    SelectionFilters.register(ALL);
    NumberFilters.register(ALL);
    ALL.put("tojson", JsonText::filter);
    ALL.put("default", Filters::defaulted);
    ALL.put("d", Filters::defaulted);
    ALL.put("attr", Filters::attribute);
  }

  private Filters() {}

  static boolean exists(String name) {
    return ALL.containsKey(name);
  }

  static Object apply(String name, Object input, Arguments arguments) {
    Filter filter = ALL.get(name);
    if (filter == null) {
      throw new JinjaException(
          "TemplateRuntimeError", "No filter named " + PythonText.repr(name) + ".");
    }
    return filter.apply(input, arguments);
  }

  private static Object defaulted(Object input, Arguments arguments) {
    Object otherwise = arguments.limit("default", 2).get(0, "default_value", "");
    boolean alsoFalse = arguments.truth(1, "boolean", false);
    return input instanceof Undefined || (alsoFalse && !Values.truth(input)) ? otherwise : input;
  }

  /** As {@code object.name}, but never an item. */
  private static Object attribute(Object input, Arguments arguments) {
    String name = arguments.limit("attr", 1).text(0, "attr", "name");
    Object found =
        input instanceof Undefined ? Values.MISSING : Subscripts.ownAttribute(input, name);
    return found == Values.MISSING ? Undefined.attribute(input, name) : found;
  }
}
