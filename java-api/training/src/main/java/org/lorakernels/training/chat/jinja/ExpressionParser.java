package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.lorakernels.training.chat.jinja.Expression.Binary;
import org.lorakernels.training.chat.jinja.Expression.Both;
import org.lorakernels.training.chat.jinja.Expression.Compare;
import org.lorakernels.training.chat.jinja.Expression.Concat;
import org.lorakernels.training.chat.jinja.Expression.Conditional;
import org.lorakernels.training.chat.jinja.Expression.Not;
import org.lorakernels.training.chat.jinja.Expression.Sign;
import org.lorakernels.training.chat.jinja.Expression.TupleOf;
import org.lorakernels.training.chat.jinja.Token.Type;

/**
 * Recursive descent over expressions, loosest first: conditional, or, and, not, comparison, + -, ~,
 * {@code * / // %}, **, sign, then attributes, items, calls, filters and tests. As in Jinja2, **
 * binds to the left and ~ tighter than + and -.
 */
final class ExpressionParser {
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");

  private final TokenStream stream;
  private final OperandParser operands;

  ExpressionParser(TokenStream stream) {
    this.stream = stream;
    this.operands = new OperandParser(stream, this);
  }

  /** The parser of what stands between the operators. */
  OperandParser operands() {
    return operands;
  }

  /** An expression, or several with commas as a tuple; {@code if} only where allowed. */
  Expression tuple(boolean withConditional, String stopName) {
    return tuple(withConditional, stopName, false);
  }

  Expression tuple(boolean withConditional, String stopName, boolean parenthesised) {
    List<Expression> items = new ArrayList<>();
    boolean isTuple = false;
    while (true) {
      if (!items.isEmpty()) {
        stream.expectOperator(",");
      }
      if (isTupleEnd(stopName)) {
        break;
      }
      items.add(withConditional ? expression() : or());
      if (!stream.current().isOperator(",")) {
        break;
      }
      isTuple = true;
    }
    if (isTuple || (items.isEmpty() && parenthesised)) {
      return new TupleOf(List.copyOf(items));
    }
    if (items.isEmpty()) {
      throw stream.fail("Expected an expression, got " + stream.current().describe());
    }
    return items.get(0);
  }

  private boolean isTupleEnd(String stopName) {
    Token token = stream.current();
    return token.type() == Type.VARIABLE_END
        || token.type() == Type.BLOCK_END
        || token.isOperator(")")
        || (stopName != null && token.isName(stopName));
  }

  Expression expression() {
    int known = operands.unknownCount();
    int line = stream.current().line();
    Expression value = or();
    while (stream.skipName("if")) {
      operands.forgetUnknown(known); // they may not be reached
      Expression body = value;
      Expression test = operands.within(true, this::or);
      Expression otherwise =
          stream.skipName("else") ? operands.within(true, this::expression) : null;
      value = new Conditional(test, body, otherwise, line);
    }
    return value;
  }

  private Expression or() {
    Expression left = and();
    while (stream.skipName("or")) {
      left = new Both(false, left, and());
    }
    return left;
  }

  private Expression and() {
    Expression left = not();
    while (stream.skipName("and")) {
      left = new Both(true, left, not());
    }
    return left;
  }

  private Expression not() {
    return stream.skipName("not") ? new Not(not()) : compare();
  }

  private Expression compare() {
    Expression first = sum();
    List<String> operators = new ArrayList<>();
    List<Expression> others = new ArrayList<>();
    while (true) {
      Token token = stream.current();
      if (token.type() == Type.OPERATOR && COMPARISONS.contains(token.text())) {
        operators.add(stream.next().text());
      } else if (stream.skipName("in")) {
        operators.add("in");
      } else if (token.isName("not") && stream.look().isName("in")) {
        stream.next();
        stream.next();
        operators.add("not in");
      } else {
        break;
      }
      others.add(sum());
    }
    return operators.isEmpty() ? first : new Compare(first, operators, others);
  }

  private Expression sum() {
    Expression left = concat();
    while (stream.current().isOperator("+") || stream.current().isOperator("-")) {
      left = new Binary(stream.next().text(), left, concat());
    }
    return left;
  }

  private Expression concat() {
    Expression first = product();
    if (!stream.current().isOperator("~")) {
      return first;
    }
    List<Expression> parts = new ArrayList<>(List.of(first));
    while (stream.skipOperator("~")) {
      parts.add(product());
    }
    return new Concat(parts);
  }

  private Expression product() {
    Expression left = power();
    while (stream.current().type() == Type.OPERATOR
        && Set.of("*", "/", "//", "%").contains(stream.current().text())) {
      left = new Binary(stream.next().text(), left, power());
    }
    return left;
  }

  private Expression power() {
    Expression left = unary(true);
    while (stream.skipOperator("**")) {
      left = new Binary("**", left, unary(true));
    }
    return left;
  }

  private Expression unary(boolean withFilter) {
    Expression node;
    if (stream.current().isOperator("-") || stream.current().isOperator("+")) {
      node = new Sign(stream.next().text().charAt(0), unary(false));
    } else {
      node = operands.primary();
    }
    node = operands.postfix(node);
    return withFilter ? operands.filtersAndTests(node) : node;
  }
}
