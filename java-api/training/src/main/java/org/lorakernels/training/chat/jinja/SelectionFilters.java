package org.lorakernels.training.chat.jinja;

import java.util.Map;
import java.util.function.Function;
import java.util.function.Predicate;

/** {@code map}, {@code select}, {@code reject}, {@code selectattr}, {@code rejectattr}. */
final class SelectionFilters {
  private SelectionFilters() {}

  static void register(Map<String, Filters.Filter> into) {
    into.put("map", SelectionFilters::map);
    into.put("select", (in, a) -> select(in, a, false, true));
    into.put("reject", (in, a) -> select(in, a, false, false));
    into.put("selectattr", (in, a) -> select(in, a, true, true));
    into.put("rejectattr", (in, a) -> select(in, a, true, false));
  }

  private static Object map(Object input, Arguments arguments) {
    Function<Object, Object> function;
    if (arguments.positional().isEmpty() && arguments.keywords().containsKey("attribute")) {
      for (String name : arguments.keywords().keySet()) {
        if (!name.equals("attribute") && !name.equals("default")) {
          throw new JinjaException(
              "FilterArgumentError", "Unexpected keyword argument " + PythonText.repr(name));
        }
      }
      function =
          AttributeGetter.of(
              arguments.keywords().get("attribute"), arguments.keywords().get("default"));
    } else {
      String name = name(arguments, "map requires a filter argument");
      Arguments rest = arguments.skip(1);
      function = item -> Filters.apply(name, item, rest);
    }
    if (!Values.truth(input)) {
      return new Generator(java.util.Collections.emptyIterator());
    }
    return Generator.mapped(Values.iterator(input), function);
  }

  private static Object select(
      Object input, Arguments arguments, boolean byAttribute, boolean wanted) {
    Function<Object, Object> subject = Function.identity();
    Arguments rest = arguments;
    if (byAttribute) {
      if (arguments.positional().isEmpty()) {
        throw new JinjaException("FilterArgumentError", "Missing parameter for attribute name");
      }
      subject = AttributeGetter.of(arguments.positional().get(0), null);
      rest = arguments.skip(1);
    }
    Predicate<Object> test = Values::truth;
    if (!rest.positional().isEmpty()) {
      String name = name(rest, "");
      Arguments operands = rest.skip(1);
      test = item -> Tests.apply(name, item, operands);
    }
    if (!Values.truth(input)) {
      return new Generator(java.util.Collections.emptyIterator());
    }
    Function<Object, Object> of = subject;
    Predicate<Object> holds = test;
    return Generator.filtered(Values.iterator(input), item -> holds.test(of.apply(item)) == wanted);
  }

  private static String name(Arguments arguments, String message) {
    if (arguments.positional().isEmpty()) {
      throw new JinjaException("FilterArgumentError", message);
    }
    return Values.text(arguments.positional().get(0));
  }
}
