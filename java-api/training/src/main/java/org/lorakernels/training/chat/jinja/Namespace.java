package org.lorakernels.training.chat.jinja;

import java.util.LinkedHashMap;
import java.util.Map;

/** {@code namespace(...)}: attributes that inner scopes can set. */
record Namespace(Map<String, Object> attributes) implements HasAttributes {
  static Namespace of(Arguments arguments) {
    return new Namespace(Values.stringKeys(Globals.dict(arguments)));
  }

  Namespace {
    attributes = new LinkedHashMap<>(attributes);
  }

  @Override
  public String type() {
    return "jinja2.utils.Namespace";
  }

  @Override
  public Object attribute(String name) {
    return attributes.containsKey(name) ? attributes.get(name) : Values.MISSING;
  }
}
