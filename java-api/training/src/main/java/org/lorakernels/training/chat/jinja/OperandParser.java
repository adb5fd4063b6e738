package org.lorakernels.training.chat.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Supplier;
import org.lorakernels.training.chat.jinja.Expression.Attribute;
import org.lorakernels.training.chat.jinja.Expression.Call;
import org.lorakernels.training.chat.jinja.Expression.CallArguments;
import org.lorakernels.training.chat.jinja.Expression.Constant;
import org.lorakernels.training.chat.jinja.Expression.DictOf;
import org.lorakernels.training.chat.jinja.Expression.Filter;
import org.lorakernels.training.chat.jinja.Expression.Item;
import org.lorakernels.training.chat.jinja.Expression.ListOf;
import org.lorakernels.training.chat.jinja.Expression.Name;
import org.lorakernels.training.chat.jinja.Expression.Not;
import org.lorakernels.training.chat.jinja.Expression.SliceOf;
import org.lorakernels.training.chat.jinja.Expression.Test;
import org.lorakernels.training.chat.jinja.Expression.TupleOf;
import org.lorakernels.training.chat.jinja.Token.Type;

/** What stands between operators: literals, names, attributes, items, calls, filters, tests. */
final class OperandParser {
  private static final Set<Type> LITERALS =
      Set.of(Type.NAME, Type.STRING, Type.INTEGER, Type.FLOAT);

  private final TokenStream stream;
  private final ExpressionParser expressions;

  /** Names used since this was last set; tells whether a macro uses caller and the like. */
  private Set<String> usedNames = new HashSet<>();

  /** Inside a branch that may not run: unknown filters and tests are errors only when reached. */
  private boolean conditional;

  /** Unknown filters and tests outside of such branches. */
  private final List<JinjaException> unknown = new ArrayList<>();

  OperandParser(TokenStream stream, ExpressionParser expressions) {
    this.stream = stream;
    this.expressions = expressions;
  }

  Set<String> usedNames() {
    return usedNames;
  }

  void usedNames(Set<String> names) {
    usedNames = names;
  }

  /** Runs a parser of a branch that may not run (true), or of a body that starts afresh. */
  <T> T within(boolean conditional, Supplier<T> parser) {
    boolean before = this.conditional;
    this.conditional = conditional;
    try {
      return parser.get();
    } finally {
      this.conditional = before;
    }
  }

  int unknownCount() {
    return unknown.size();
  }

  /** Forgets the unknown filters and tests after the first {@code count}. */
  void forgetUnknown(int count) {
    unknown.subList(count, unknown.size()).clear();
  }

  /** Refuses the template if it names a filter or a test that does not exist. */
  void requireKnown() {
    if (!unknown.isEmpty()) {
      throw unknown.get(0);
    }
  }

  Expression primary() {
    Token token = stream.current();
    switch (token.type()) {
      case NAME -> {
        stream.next();
        return switch (token.text()) {
          case "true", "True" -> new Constant(true);
          case "false", "False" -> new Constant(false);
          case "none", "None" -> new Constant(null);
          default -> {
            usedNames.add(token.text());
            yield new Name(token.text());
          }
        };
      }
      case STRING -> {
        StringBuilder text = new StringBuilder();
        while (stream.current().type() == Type.STRING) {
          text.append(stream.next().text());
        }
        return new Constant(text.toString());
      }
      case INTEGER -> {
        return new Constant(integer(stream.next()));
      }
      case FLOAT -> {
        return new Constant(Double.valueOf(stream.next().text()));
      }
      default -> {
        if (stream.skipOperator("(")) {
          Expression inner = expressions.tuple(true, null, true);
          stream.expectOperator(")");
          return inner;
        }
        if (token.isOperator("[")) {
          return list();
        }
        if (token.isOperator("{")) {
          return dict();
        }
        throw stream.fail("unexpected " + token.describe());
      }
    }
  }

  private Object integer(Token token) {
    String text = token.text().toLowerCase(Locale.ROOT);
    int radix =
        text.startsWith("0x") ? 16 : text.startsWith("0o") ? 8 : text.startsWith("0b") ? 2 : 10;
    try {
      return new BigInteger(radix == 10 ? text : text.substring(2), radix).longValueExact();
    } catch (ArithmeticException e) {
      throw JinjaException.syntax("integer beyond 64 bits: " + token.text(), token.line());
    }
  }

  private Expression list() {
    stream.expectOperator("[");
    List<Expression> items = new ArrayList<>();
    while (!stream.current().isOperator("]")) {
      if (!items.isEmpty()) {
        stream.expectOperator(",");
      }
      if (stream.current().isOperator("]")) {
        break;
      }
      items.add(expressions.expression());
    }
    stream.expectOperator("]");
    return new ListOf(items);
  }

  private Expression dict() {
    stream.expectOperator("{");
    List<Expression> keys = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (!stream.current().isOperator("}")) {
      if (!keys.isEmpty()) {
        stream.expectOperator(",");
      }
      if (stream.current().isOperator("}")) {
        break;
      }
      keys.add(expressions.expression());
      stream.expectOperator(":");
      values.add(expressions.expression());
    }
    stream.expectOperator("}");
    return new DictOf(keys, values);
  }

  Expression postfix(Expression start) {
    Expression node = start;
    while (true) {
      if (stream.current().isOperator(".") || stream.current().isOperator("[")) {
        node = subscript(node);
      } else if (stream.current().isOperator("(")) {
        node = new Call(node, callArguments());
      } else {
        return node;
      }
    }
  }

  Expression filtersAndTests(Expression start) {
    Expression node = start;
    while (true) {
      if (stream.current().isOperator("|")) {
        stream.next();
        node = filter(node);
      } else if (stream.current().isName("is")) {
        node = test(node);
      } else if (stream.current().isOperator("(")) { // f|filter(...)(...)
        node = new Call(node, callArguments());
      } else {
        return node;
      }
    }
  }

  /** A filter after its {@code |}, and the ones behind it. */
  Filter filters(Expression input) {
    Filter filter = filter(input);
    while (stream.skipOperator("|")) {
      filter = filter(filter);
    }
    return filter;
  }

  private Filter filter(Expression input) {
    String name = dottedName();
    if (!conditional && !Filters.exists(name)) {
      unknown.add(new JinjaException("TemplateAssertionError", "No filter named '" + name + "'."));
    }
    CallArguments arguments =
        stream.current().isOperator("(") ? callArguments() : CallArguments.NONE;
    return new Filter(input, name, arguments);
  }

  private Expression test(Expression input) {
    stream.expectName("is");
    boolean negated = stream.skipName("not");
    String name = dottedName();
    if (!conditional && !Tests.exists(name)) {
      unknown.add(new JinjaException("TemplateAssertionError", "No test named '" + name + "'."));
    }
    CallArguments arguments = CallArguments.NONE;
    Token token = stream.current();
    if (token.isOperator("(")) {
      arguments = callArguments();
    } else if ((LITERALS.contains(token.type()) || token.isOperator("[") || token.isOperator("{"))
        && !(token.isName("else") || token.isName("or") || token.isName("and"))) {
      if (token.isName("is")) {
        throw stream.fail("You cannot chain multiple tests with is");
      }
      arguments = CallArguments.of(postfix(primary()));
    }
    Expression test = new Test(input, name, arguments);
    return negated ? new Not(test) : test;
  }

  private String dottedName() {
    StringBuilder name = new StringBuilder(stream.expect(Type.NAME, "name").text());
    while (stream.skipOperator(".")) {
      name.append('.').append(stream.expect(Type.NAME, "name").text());
    }
    return name.toString();
  }

  private Expression subscript(Expression object) {
    if (stream.skipOperator(".")) {
      Token token = stream.next();
      return switch (token.type()) {
        case NAME -> new Attribute(object, token.text());
        case INTEGER -> new Item(object, new Constant(integer(token)));
        default -> throw JinjaException.syntax("expected name or number", token.line());
      };
    }
    stream.expectOperator("[");
    List<Expression> keys = new ArrayList<>();
    while (!stream.current().isOperator("]")) {
      if (!keys.isEmpty()) {
        stream.expectOperator(",");
      }
      keys.add(subscribed());
    }
    stream.expectOperator("]");
    return new Item(object, keys.size() == 1 ? keys.get(0) : new TupleOf(keys));
  }

  private Expression subscribed() {
    Expression start = null;
    if (!stream.current().isOperator(":")) {
      start = expressions.expression();
      if (!stream.current().isOperator(":")) {
        return start;
      }
    }
    stream.expectOperator(":");
    Expression stop = isSliceEnd() ? null : expressions.expression();
    Expression step = null;
    if (stream.skipOperator(":")) {
      step = isSliceEnd() ? null : expressions.expression();
    }
    return new SliceOf(start, stop, step);
  }

  private boolean isSliceEnd() {
    Token token = stream.current();
    return token.isOperator(":") || token.isOperator("]") || token.isOperator(",");
  }

  CallArguments callArguments() {
    stream.expectOperator("(");
    List<Expression> positional = new ArrayList<>();
    List<String> names = new ArrayList<>();
    List<Expression> keywords = new ArrayList<>();
    Expression varargs = null;
    Expression kwargs = null;
    boolean first = true;
    while (!stream.current().isOperator(")")) {
      if (!first) {
        stream.expectOperator(",");
        if (stream.current().isOperator(")")) {
          break;
        }
      }
      first = false;
      if (stream.skipOperator("*")) {
        require(varargs == null && kwargs == null);
        varargs = expressions.expression();
      } else if (stream.skipOperator("**")) {
        require(kwargs == null);
        kwargs = expressions.expression();
      } else if (stream.current().type() == Type.NAME && stream.look().isOperator("=")) {
        require(kwargs == null);
        names.add(stream.next().text());
        stream.next();
        keywords.add(expressions.expression());
      } else {
        require(varargs == null && names.isEmpty() && kwargs == null);
        positional.add(expressions.expression());
      }
    }
    stream.expectOperator(")");
    return new CallArguments(positional, names, keywords, varargs, kwargs);
  }

  private void require(boolean inOrder) {
    if (!inOrder) {
      throw stream.fail("invalid syntax for function call expression");
    }
  }
}
