package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lorakernels.training.chat.jinja.Expression.CallArguments;

/** Computes expressions. */
final class Evaluator {
  private final Map<String, Object> globals;

  Evaluator(Map<String, Object> globals) {
    this.globals = globals;
  }

  Object evaluate(Expression node, Scope scope) {
    if (node instanceof Expression.Constant constant) {
      return constant.value();
    }
    if (node instanceof Expression.Name name) {
      return name(name.name(), scope);
    }
    if (node instanceof Expression.Attribute attribute) {
      return Subscripts.attribute(evaluate(attribute.object(), scope), attribute.name());
    }
    if (node instanceof Expression.Item item) {
      return Subscripts.item(evaluate(item.object(), scope), evaluate(item.key(), scope));
    }
    if (node instanceof Expression.SliceOf slice) {
      return new Subscripts.Slice(
          optional(slice.start(), scope),
          optional(slice.stop(), scope),
          optional(slice.step(), scope));
    }
    if (node instanceof Expression.Call call) {
      Object callee = evaluate(call.callee(), scope);
      return call(callee, arguments(call.arguments(), scope));
    }
    if (node instanceof Expression.Filter filter) {
      return filter(filter, evaluate(filter.input(), scope), scope);
    }
    if (node instanceof Expression.Test test) {
      Object input = evaluate(test.input(), scope);
      return Tests.apply(test.name(), input, arguments(test.arguments(), scope));
    }
    if (node instanceof Expression.Both both) {
      Object left = evaluate(both.left(), scope);
      return Values.truth(left) == both.isAnd() ? evaluate(both.right(), scope) : left;
    }
    if (node instanceof Expression.Not not) {
      return !Values.truth(evaluate(not.operand(), scope));
    }
    if (node instanceof Expression.Compare compare) {
      return compare(compare, scope);
    }
    if (node instanceof Expression.Conditional conditional) {
      return conditional(conditional, scope);
    }
    return construct(node, scope);
  }

  private Object construct(Expression node, Scope scope) {
    if (node instanceof Expression.Binary binary) {
      Object left = evaluate(binary.left(), scope);
      return Operators.binary(binary.operator(), left, evaluate(binary.right(), scope));
    }
    if (node instanceof Expression.Sign sign) {
      return Operators.sign(sign.operator(), evaluate(sign.operand(), scope));
    }
    if (node instanceof Expression.Concat concat) {
      StringBuilder text = new StringBuilder();
      concat.parts().forEach(part -> text.append(Values.text(evaluate(part, scope))));
      return text.toString();
    }
    if (node instanceof Expression.ListOf list) {
      return all(list.items(), scope);
    }
    if (node instanceof Expression.TupleOf tuple) {
      return new Tuple(all(tuple.items(), scope));
    }
    if (node instanceof Expression.DictOf dict) {
      Map<Object, Object> map = new LinkedHashMap<>();
      for (int i = 0; i < dict.keys().size(); i++) {
        Object key = Values.requireHashable(evaluate(dict.keys().get(i), scope));
        map.put(key, evaluate(dict.values().get(i), scope));
      }
      return map;
    }
    throw new IllegalStateException("no such expression: " + node);
  }

  private Object name(String name, Scope scope) {
    Object value = scope.get(name);
    if (value == Values.MISSING) {
      value = globals.getOrDefault(name, Values.MISSING);
    }
    return value == Values.MISSING ? Undefined.name(name) : value;
  }

  private Object optional(Expression node, Scope scope) {
    return node == null ? null : evaluate(node, scope);
  }

  private List<Object> all(List<Expression> nodes, Scope scope) {
    List<Object> values = new ArrayList<>(nodes.size());
    nodes.forEach(node -> values.add(evaluate(node, scope)));
    return values;
  }

  private Object conditional(Expression.Conditional node, Scope scope) {
    if (Values.truth(evaluate(node.test(), scope))) {
      return evaluate(node.value(), scope);
    }
    return node.otherwise() == null
        ? Undefined.hint(
            "the inline if-expression on line "
                + node.line()
                + " evaluated to false and no else section was defined.")
        : evaluate(node.otherwise(), scope);
  }

  private boolean compare(Expression.Compare node, Scope scope) {
    Object left = evaluate(node.first(), scope);
    for (int i = 0; i < node.operators().size(); i++) {
      Object right = evaluate(node.others().get(i), scope);
      if (!Operators.compare(node.operators().get(i), left, right)) {
        return false;
      }
      left = right;
    }
    return true;
  }

  /** A filter whose input is already there. */
  Object filter(Expression.Filter filter, Object input, Scope scope) {
    return Filters.apply(filter.name(), input, arguments(filter.arguments(), scope));
  }

  /** The filters of a block, the innermost over the block's text. */
  Object filterBlock(Expression.Filter filter, String text, Scope scope) {
    Object input =
        filter.input() == null
            ? text
            : filterBlock((Expression.Filter) filter.input(), text, scope);
    return filter(filter, input, scope);
  }

  Arguments arguments(CallArguments nodes, Scope scope) {
    if (nodes == CallArguments.NONE) {
      return Arguments.NONE;
    }
    List<Object> positional = all(nodes.positional(), scope);
    Map<String, Object> keywords = new LinkedHashMap<>();
    for (int i = 0; i < nodes.names().size(); i++) {
      keywords.put(nodes.names().get(i), evaluate(nodes.keywords().get(i), scope));
    }
    if (nodes.varargs() != null) {
      positional.addAll(Values.list(evaluate(nodes.varargs(), scope)));
    }
    if (nodes.kwargs() != null) {
      if (!(evaluate(nodes.kwargs(), scope) instanceof Map<?, ?> map)) {
        throw JinjaException.type("argument after ** must be a mapping");
      }
      keywords.putAll(Values.stringKeys(map));
    }
    return new Arguments(positional, keywords);
  }

  static Object call(Object callee, Arguments arguments) {
    if (callee instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (!(callee instanceof Callable callable)) {
      throw JinjaException.type("'" + Values.typeName(callee) + "' object is not callable");
    }
    return callable.call(arguments);
  }
}
