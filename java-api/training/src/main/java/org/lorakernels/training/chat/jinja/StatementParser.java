package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.lorakernels.training.chat.jinja.Expression.Call;
import org.lorakernels.training.chat.jinja.Expression.Filter;
import org.lorakernels.training.chat.jinja.Statement.NameTarget;
import org.lorakernels.training.chat.jinja.Statement.NamespaceTarget;
import org.lorakernels.training.chat.jinja.Statement.Signature;
import org.lorakernels.training.chat.jinja.Statement.Target;
import org.lorakernels.training.chat.jinja.Statement.TupleTarget;
import org.lorakernels.training.chat.jinja.Token.Type;

/** Recursive descent over statements, from tokens to a body. */
final class StatementParser {
  private static final Set<String> RESERVED =
      Set.of("true", "True", "false", "False", "none", "None");

  private final TokenStream stream;
  private final ExpressionParser expressions;
  private final OperandParser operands;
  private int loops;

  private StatementParser(TokenStream stream) {
    this.stream = stream;
    this.expressions = new ExpressionParser(stream);
    this.operands = expressions.operands();
  }

  /** The body of a whole template. */
  static List<Statement> parse(String template) {
    StatementParser parser = new StatementParser(new TokenStream(Lexer.tokenize(template)));
    List<Statement> body = parser.body(Set.of());
    if (parser.stream.current().type() != Type.END) {
      throw parser.stream.fail("unexpected " + parser.stream.current().describe());
    }
    parser.operands.requireKnown();
    return body;
  }

  /** Statements up to a tag named in {@code ends}, whose name is then the current token. */
  private List<Statement> body(Set<String> ends) {
    List<Statement> body = new ArrayList<>();
    while (true) {
      Token token = stream.current();
      switch (token.type()) {
        case DATA -> body.add(new Statement.Text(stream.next().text()));
        case VARIABLE_BEGIN -> {
          stream.next();
          body.add(new Statement.Output(expressions.tuple(true, null)));
          stream.expect(Type.VARIABLE_END, "end of print statement");
        }
        case BLOCK_BEGIN -> {
          stream.next();
          if (stream.current().type() == Type.NAME && ends.contains(stream.current().text())) {
            return body;
          }
          body.add(statement(ends));
          stream.expect(Type.BLOCK_END, "end of statement block");
        }
        default -> {
          if (!ends.isEmpty()) {
            throw stream.fail(
                "Unexpected end of template. Jinja was looking for the following tags: " + ends);
          }
          return body;
        }
      }
    }
  }

  /** The rest of an opening tag, its body, and the name of its closing tag. */
  private List<Statement> bodyTo(String end) {
    stream.expect(Type.BLOCK_END, "end of statement block");
    List<Statement> body = body(Set.of(end));
    stream.expectName(end);
    return body;
  }

  private Statement statement(Set<String> ends) {
    Token tag = stream.expect(Type.NAME, "name");
    return switch (tag.text()) {
      case "if" -> ifStatement();
      case "for" -> operands.within(false, this::forStatement);
      case "set" -> set();
      case "macro" -> operands.within(false, this::macro);
      case "call" -> operands.within(false, this::callBlock);
      case "filter" -> {
        Filter filter = operands.filters(null);
        yield new Statement.FilterBlock(filter, bodyTo("endfilter"));
      }
      case "with" -> with();
      case "generation" -> new Statement.Generation(withoutLoops(() -> bodyTo("endgeneration")));
      case "block" -> block();
      case "autoescape" -> autoescape(tag);
      case "break", "continue" -> loopControl(tag);
      case "print" -> new Statement.Output(expressions.tuple(true, null));
      case "include", "import", "from", "extends" ->
          throw new JinjaException(
              "TypeError", "no loader for this environment specified (line " + tag.line() + ")");
      default ->
          throw JinjaException.syntax(
              "Encountered unknown tag '"
                  + tag.text()
                  + "'."
                  + (ends.isEmpty() ? "" : " Jinja was looking for the following tags: " + ends),
              tag.line());
    };
  }

  private Statement ifStatement() {
    List<Expression> tests = new ArrayList<>();
    List<List<Statement>> bodies = new ArrayList<>();
    tests.add(expressions.tuple(false, null));
    while (true) {
      stream.expect(Type.BLOCK_END, "end of statement block");
      bodies.add(operands.within(true, () -> body(Set.of("elif", "else", "endif"))));
      boolean afterElse = tests.get(tests.size() - 1) == null;
      String tag = stream.next().text();
      if (tag.equals("endif")) {
        return new Statement.If(tests, bodies);
      }
      if (afterElse) {
        throw stream.fail("Encountered unknown tag '" + tag + "'");
      }
      tests.add(tag.equals("elif") ? expressions.tuple(false, null) : null);
    }
  }

  private Statement forStatement() {
    Target target = target(false, "in");
    requireNoLoop(target);
    stream.expectName("in");
    Expression items = expressions.tuple(false, "recursive");
    Expression test = stream.skipName("if") ? expressions.expression() : null;
    boolean recursive = stream.skipName("recursive");
    stream.expect(Type.BLOCK_END, "end of statement block");
    loops++;
    List<Statement> body = body(Set.of("endfor", "else"));
    loops--;
    List<Statement> otherwise = List.of();
    if (stream.next().isName("else")) {
      otherwise = bodyTo("endfor");
    }
    return new Statement.For(target, items, test, recursive, body, otherwise);
  }

  private static void requireNoLoop(Target target) {
    if (target instanceof TupleTarget tuple) {
      tuple.targets().forEach(StatementParser::requireNoLoop);
    } else if (target.equals(new NameTarget("loop"))) {
      throw new JinjaException(
          "TemplateAssertionError", "Can't assign to special loop variable in for-loop target");
    }
  }

  private Statement loopControl(Token tag) {
    if (loops == 0) {
      throw JinjaException.syntax("'" + tag.text() + "' outside loop", tag.line());
    }
    return tag.text().equals("break") ? new Statement.Break() : new Statement.Continue();
  }

  private Statement set() {
    Target target = target(true, null);
    if (stream.skipOperator("=")) {
      return new Statement.Set(target, expressions.tuple(true, null));
    }
    Filter filter = stream.skipOperator("|") ? operands.filters(null) : null;
    return new Statement.SetBlock(target, filter, bodyTo("endset"));
  }

  private Statement with() {
    List<Target> targets = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (stream.current().type() != Type.BLOCK_END) {
      if (!targets.isEmpty()) {
        stream.expectOperator(",");
      }
      targets.add(target(false, null));
      stream.expectOperator("=");
      values.add(expressions.expression());
    }
    return new Statement.With(targets, values, bodyTo("endwith"));
  }

  private Statement block() {
    String name = stream.expect(Type.NAME, "name").text();
    while (stream.skipName("scoped") || stream.skipName("required")) {
      // they matter to inheritance alone
    }
    List<Statement> body = bodyTo("endblock");
    stream.skipName(name);
    return new Statement.Scoped(body);
  }

  private Statement autoescape(Token tag) {
    if (!(expressions.expression() instanceof Expression.Constant constant)
        || !Boolean.FALSE.equals(constant.value())) {
      throw JinjaException.syntax(
          "autoescape is not supported: chat templates are not HTML", tag.line());
    }
    return new Statement.Scoped(bodyTo("endautoescape"));
  }

  private Statement macro() {
    String name = nameToAssign().name();
    return callable(
        (signature, body) -> new Statement.MacroDefinition(name, signature, body), "endmacro");
  }

  private Statement callBlock() {
    // The body's parameters come before the call, but belong to the body.
    Set<String> outer = operands.usedNames();
    operands.usedNames(new HashSet<>());
    List<String> names = new ArrayList<>();
    List<Expression> defaults = new ArrayList<>();
    if (stream.current().isOperator("(")) {
      parameters(names, defaults);
    }
    Expression call = expressions.expression();
    if (!(call instanceof Call)) {
      throw stream.fail("expected call");
    }
    List<Statement> body = withoutLoops(() -> bodyTo("endcall"));
    Signature signature = signature(names, defaults);
    outer.addAll(operands.usedNames());
    operands.usedNames(outer);
    return new Statement.CallBlock((Call) call, signature, body);
  }

  private interface CallableFactory {
    Statement of(Signature signature, List<Statement> body);
  }

  private Statement callable(CallableFactory factory, String end) {
    Set<String> outer = operands.usedNames();
    operands.usedNames(new HashSet<>());
    List<String> names = new ArrayList<>();
    List<Expression> defaults = new ArrayList<>();
    parameters(names, defaults);
    List<Statement> body = withoutLoops(() -> bodyTo(end));
    Signature signature = signature(names, defaults);
    outer.addAll(operands.usedNames());
    operands.usedNames(outer);
    return factory.of(signature, body);
  }

  private Signature signature(List<String> names, List<Expression> defaults) {
    Set<String> used = operands.usedNames();
    int caller = names.indexOf("caller");
    if (caller >= 0 && caller < names.size() - defaults.size()) {
      throw new JinjaException(
          "TemplateAssertionError",
          "When defining macros or call blocks the special \"caller\" argument must be omitted or"
              + " be given a default.");
    }
    return new Signature(
        List.copyOf(names),
        List.copyOf(defaults),
        used.contains("caller"),
        used.contains("varargs"),
        used.contains("kwargs"));
  }

  private void parameters(List<String> names, List<Expression> defaults) {
    stream.expectOperator("(");
    while (!stream.current().isOperator(")")) {
      if (!names.isEmpty()) {
        stream.expectOperator(",");
      }
      names.add(nameToAssign().name());
      if (stream.skipOperator("=")) {
        defaults.add(expressions.expression());
      } else if (!defaults.isEmpty()) {
        throw stream.fail("non-default argument follows default argument");
      }
    }
    stream.expectOperator(")");
  }

  private List<Statement> withoutLoops(java.util.function.Supplier<List<Statement>> parser) {
    int outer = loops;
    loops = 0;
    List<Statement> body = parser.get();
    loops = outer;
    return body;
  }

  /** A name, or several with commas, up to {@code stopName}. */
  private Target target(boolean withNamespace, String stopName) {
    List<Target> targets = new ArrayList<>();
    boolean isTuple = false;
    while (true) {
      Token token = stream.current();
      if (!targets.isEmpty() && (token.isOperator("=") || token.isName(stopName))) {
        break; // a comma at the end
      }
      targets.add(singleTarget(withNamespace));
      if (!stream.skipOperator(",")) {
        break;
      }
      isTuple = true;
    }
    return isTuple ? new TupleTarget(targets) : targets.get(0);
  }

  private Target singleTarget(boolean withNamespace) {
    if (stream.skipOperator("(")) {
      Target inner = target(false, null);
      stream.expectOperator(")");
      return inner;
    }
    if (withNamespace && stream.look().isOperator(".")) {
      String name = stream.expect(Type.NAME, "name").text();
      stream.expectOperator(".");
      return new NamespaceTarget(name, stream.expect(Type.NAME, "name").text());
    }
    return nameToAssign();
  }

  private NameTarget nameToAssign() {
    String name = stream.expect(Type.NAME, "name").text();
    if (RESERVED.contains(name)) {
      throw stream.fail("can't assign to '" + name + "'");
    }
    return new NameTarget(name);
  }
}
