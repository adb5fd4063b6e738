package org.lorakernels.training.chat.jinja;

/**
 * The value of what is not there. It prints as nothing, is false and empty; anything else done with
 * it is an error with its message.
 */
record Undefined(String kind, String message) {
  static Undefined name(String name) {
    return hint(PythonText.repr(name) + " is undefined");
  }

  static Undefined attribute(Object object, String name) {
    return hint(PythonText.repr(describe(object)) + " has no attribute " + PythonText.repr(name));
  }

  static Undefined item(Object object, Object key) {
    return key instanceof String name
        ? attribute(object, name)
        : hint(describe(object) + " has no element " + Values.repr(key));
  }

  static Undefined hint(String message) {
    return new Undefined("UndefinedError", message);
  }

  /** What the sandbox refuses. */
  static Undefined unsafe(Object object, String name) {
    return new Undefined(
        "SecurityError",
        "access to attribute "
            + PythonText.repr(name)
            + " of "
            + PythonText.repr(Values.typeName(object))
            + " object is unsafe.");
  }

  private static String describe(Object object) {
    return object == null ? "None" : Values.qualifiedTypeName(object) + " object";
  }

  JinjaException error() {
    return new JinjaException(kind, message);
  }

  /** All of them are equal, as in Jinja2. */
  @Override
  public boolean equals(Object other) {
    return other instanceof Undefined;
  }

  @Override
  public int hashCode() {
    return 0;
  }
}
