package org.lorakernels.training.chat.jinja;

import java.util.List;

/** The nodes of statements; a body is a list of them. */
sealed interface Statement {
  record Text(String text) implements Statement {}

  record Output(Expression value) implements Statement {}

  /** The last of {@code tests} may be null: {@code else}. */
  record If(List<Expression> tests, List<List<Statement>> bodies) implements Statement {}

  /**
   * A loop.
   *
   * @param target what each item is assigned to
   * @param items what is iterated over
   * @param test which items count; may be null: all
   * @param recursive whether {@code loop(items)} runs it again
   * @param body for each item
   * @param otherwise where there was no item
   */
  record For(
      Target target,
      Expression items,
      Expression test,
      boolean recursive,
      List<Statement> body,
      List<Statement> otherwise)
      implements Statement {}

  record Break() implements Statement {}

  record Continue() implements Statement {}

  record Set(Target target, Expression value) implements Statement {}

  /** {@code {% set x | filter %}...{% endset %}}; the filter may be null. */
  record SetBlock(Target target, Expression.Filter filter, List<Statement> body)
      implements Statement {}

  record With(List<Target> targets, List<Expression> values, List<Statement> body)
      implements Statement {}

  record FilterBlock(Expression.Filter filter, List<Statement> body) implements Statement {}

  record MacroDefinition(String name, Signature signature, List<Statement> body)
      implements Statement {}

  /**
   * {@code {% call(x) f() %}...{% endcall %}}: the body is handed to the call as {@code caller}.
   */
  record CallBlock(Expression.Call call, Signature signature, List<Statement> body)
      implements Statement {}

  /** {@code {% generation %}...{% endgeneration %}}: what the assistant said. */
  record Generation(List<Statement> body) implements Statement {}

  /** {@code {% block %}} without inheritance, {@code {% autoescape false %}}: a scope. */
  record Scoped(List<Statement> body) implements Statement {}

  /**
   * Parameters of a macro.
   *
   * @param names of the parameters
   * @param defaults of the last ones
   * @param usesCaller whether the body names {@code caller}
   * @param usesVarargs whether the body names {@code varargs}
   * @param usesKwargs whether the body names {@code kwargs}
   */
  record Signature(
      List<String> names,
      List<Expression> defaults,
      boolean usesCaller,
      boolean usesVarargs,
      boolean usesKwargs) {}

  /** What can be assigned to. */
  sealed interface Target {}

  record NameTarget(String name) implements Target {}

  record TupleTarget(List<Target> targets) implements Target {}

  /** {@code ns.attribute}. */
  record NamespaceTarget(String name, String attribute) implements Target {}
}
