package org.lorakernels.training.chat.jinja;

import java.time.LocalDateTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The functions that every template sees. */
final class Globals {
  private Globals() {}

  static Map<String, Object> at(LocalDateTime now) {
    Map<String, Object> globals = new LinkedHashMap<>();
    globals.put("range", (Callable) Range::of);
    globals.put("dict", (Callable) Globals::dict);
    globals.put("namespace", (Callable) Namespace::of);
    globals.put("cycler", (Callable) Cycler::new);
    globals.put("joiner", (Callable) Globals::joiner);
    globals.put("raise_exception", (Callable) Globals::raise);
    globals.put(
        "strftime_now",
        (Callable)
            arguments ->
                Strftime.format(
                    now, arguments.limit("strftime_now", 1).text(0, "strftime_now", "format")));
    return globals;
  }

  /** {@code dict(mapping or pairs, **more)}. */
  static Map<Object, Object> dict(Arguments arguments) {
    Map<Object, Object> result = new LinkedHashMap<>();
    for (Object source : arguments.positional()) {
      if (source instanceof Map<?, ?> map) {
        result.putAll(map);
        continue;
      }
      for (Object pair : Values.list(source)) {
        List<Object> both = Values.list(pair);
        if (both.size() != 2) {
          throw JinjaException.value(
              "dictionary update sequence element has length " + both.size() + "; 2 is required");
        }
        result.put(both.get(0), both.get(1));
      }
    }
    result.putAll(arguments.keywords());
    return result;
  }

  private static Object raise(Arguments arguments) {
    throw new JinjaException(
        "TemplateError",
        Values.text(
            arguments.limit("raise_exception", 1).require(0, "raise_exception", "message")));
  }

  private static Object joiner(Arguments arguments) {
    Object separator = arguments.limit("joiner", 1).get(0, "sep", ", ");
    boolean[] used = {false};
    return (Callable)
        none -> {
          Object text = used[0] ? separator : "";
          used[0] = true;
          return text;
        };
  }

  /** {@code cycler(...)}: its items in turn. */
  private static final class Cycler implements HasAttributes {
    private final List<Object> items;
    private int at;

    Cycler(Arguments arguments) {
      this.items = arguments.positional();
      if (items.isEmpty()) {
        throw new JinjaException("RuntimeError", "at least one item has to be provided");
      }
    }

    @Override
    public String type() {
      return "jinja2.utils.Cycler";
    }

    @Override
    public Object attribute(String name) {
      return switch (name) {
        case "current" -> items.get(at);
        case "next" ->
            (Callable)
                none -> {
                  Object item = items.get(at);
                  at = (at + 1) % items.size();
                  return item;
                };
        case "reset" ->
            (Callable)
                none -> {
                  at = 0;
                  return null;
                };
        default -> Values.MISSING;
      };
    }
  }
}
