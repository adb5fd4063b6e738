package org.lorakernels.training.chat.jinja;

import java.util.List;

/** The nodes of expressions. */
sealed interface Expression {
  /** A literal: null (None), Boolean, Long, Double or String. */
  record Constant(Object value) implements Expression {}

  record Name(String name) implements Expression {}

  record TupleOf(List<Expression> items) implements Expression {}

  record ListOf(List<Expression> items) implements Expression {}

  record DictOf(List<Expression> keys, List<Expression> values) implements Expression {}

  /** {@code test and/or other}. */
  record Both(boolean isAnd, Expression left, Expression right) implements Expression {}

  record Not(Expression operand) implements Expression {}

  /** {@code -x} or {@code +x}. */
  record Sign(char operator, Expression operand) implements Expression {}

  record Binary(String operator, Expression left, Expression right) implements Expression {}

  /** {@code a ~ b ~ c}. */
  record Concat(List<Expression> parts) implements Expression {}

  /** {@code first op1 x1 op2 x2 ...}: every neighbouring pair must hold. */
  record Compare(Expression first, List<String> operators, List<Expression> others)
      implements Expression {}

  /** {@code value if test else otherwise}; without {@code otherwise} (null) it is undefined. */
  record Conditional(Expression test, Expression value, Expression otherwise, int line)
      implements Expression {}

  record Attribute(Expression object, String name) implements Expression {}

  record Item(Expression object, Expression key) implements Expression {}

  /** {@code start:stop:step}, null where left out. */
  record SliceOf(Expression start, Expression stop, Expression step) implements Expression {}

  record Call(Expression callee, CallArguments arguments) implements Expression {}

  /** {@code input | name(...)}; the input is null in {@code {% filter %}}. */
  record Filter(Expression input, String name, CallArguments arguments) implements Expression {}

  record Test(Expression input, String name, CallArguments arguments) implements Expression {}

  /**
   * Arguments of a call.
   *
   * @param positional in order
   * @param names of the keyword arguments
   * @param keywords their values
   * @param varargs what follows {@code *}; may be null
   * @param kwargs what follows {@code **}; may be null
   */
  record CallArguments(
      List<Expression> positional,
      List<String> names,
      List<Expression> keywords,
      Expression varargs,
      Expression kwargs) {
    static final CallArguments NONE =
        new CallArguments(List.of(), List.of(), List.of(), null, null);

    static CallArguments of(Expression argument) {
      return new CallArguments(List.of(argument), List.of(), List.of(), null, null);
    }
  }
}
