package org.lorakernels.training.chat.jinja;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lorakernels.training.chat.jinja.Statement.Signature;

/** A macro with the scope it was defined in; also the body of a {@code {% call %}}. */
final class Macro implements Callable, HasAttributes {
  private final Renderer renderer;
  private final String name;
  private final Signature signature;
  private final List<Statement> body;
  private final Scope scope;

  Macro(Renderer renderer, String name, Signature signature, List<Statement> body, Scope scope) {
    this.renderer = renderer;
    this.name = name;
    this.signature = signature;
    this.body = body;
    this.scope = scope;
  }

  @Override
  public Object call(Arguments arguments) {
    Scope inner = new Scope(scope);
    List<String> names = signature.names();
    List<Object> positional = arguments.positional();
    Map<String, Object> keywords = new LinkedHashMap<>(arguments.keywords());
    Object[] given = new Object[names.size()];
    for (int i = 0; i < names.size(); i++) {
      given[i] = Values.MISSING;
      if (i < positional.size()) {
        given[i] = positional.get(i);
      } else if (keywords.containsKey(names.get(i))) {
        given[i] = keywords.remove(names.get(i));
      }
    }
    special(positional, keywords, inner);
    int firstDefault = names.size() - signature.defaults().size();
    for (int i = 0; i < names.size(); i++) {
      Object value = given[i];
      if (value == Values.MISSING) {
        value =
            i < firstDefault
                ? Undefined.hint("parameter " + PythonText.repr(names.get(i)) + " was not provided")
                : renderer.evaluator().evaluate(signature.defaults().get(i - firstDefault), inner);
      }
      inner.set(names.get(i), value);
    }
    return renderer.capture(body, inner);
  }

  /** {@code caller}, {@code varargs} and {@code kwargs}, each only where the body names it. */
  private void special(List<Object> positional, Map<String, Object> keywords, Scope inner) {
    int count = signature.names().size();
    if (signature.usesCaller() && !signature.names().contains("caller")) {
      Object caller = keywords.remove("caller");
      inner.set("caller", caller == null ? Undefined.hint("No caller defined") : caller);
    }
    if (signature.usesKwargs()) {
      inner.set("kwargs", new LinkedHashMap<Object, Object>(keywords));
    } else if (!keywords.isEmpty()) {
      throw JinjaException.type(
          "macro "
              + PythonText.repr(name)
              + " takes no keyword argument "
              + PythonText.repr(keywords.keySet().iterator().next()));
    }
    if (signature.usesVarargs()) {
      inner.set(
          "varargs",
          new Tuple(positional.subList(Math.min(count, positional.size()), positional.size())));
    } else if (positional.size() > count) {
      throw JinjaException.type(
          "macro " + PythonText.repr(name) + " takes not more than " + count + " argument(s)");
    }
  }

  @Override
  public String type() {
    return "jinja2.runtime.Macro";
  }

  @Override
  public Object attribute(String attribute) {
    return switch (attribute) {
      case "name" -> name;
      case "arguments" -> new Tuple(List.copyOf(signature.names()));
      case "catch_kwargs" -> signature.usesKwargs();
      case "catch_varargs" -> signature.usesVarargs();
      case "caller" -> signature.usesCaller();
      default -> Values.MISSING;
    };
  }
}
