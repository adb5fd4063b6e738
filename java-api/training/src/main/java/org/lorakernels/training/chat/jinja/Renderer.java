package org.lorakernels.training.chat.jinja;

import java.time.LocalDateTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lorakernels.training.chat.jinja.Statement.NameTarget;
import org.lorakernels.training.chat.jinja.Statement.NamespaceTarget;
import org.lorakernels.training.chat.jinja.Statement.Target;
import org.lorakernels.training.chat.jinja.Statement.TupleTarget;

/** Runs the statements of one template once. */
final class Renderer {
  /** How a body ended. */
  private enum Flow {
    NORMAL,
    BREAK,
    CONTINUE
  }

  private final Evaluator evaluator;
  private boolean generationsAreComplete = true;

  Renderer(LocalDateTime now) {
    this.evaluator = new Evaluator(Globals.at(now));
  }

  Rendered render(List<Statement> body, Scope scope) {
    Output out = new Output(false);
    run(body, scope, out);
    return new Rendered(out.toString(), List.copyOf(out.generations()), generationsAreComplete);
  }

  Evaluator evaluator() {
    return evaluator;
  }

  /** The text that a body writes. */
  String capture(List<Statement> body, Scope scope) {
    Output buffer = new Output(true);
    run(body, scope, buffer);
    return buffer.toString();
  }

  private Flow run(List<Statement> body, Scope scope, Output out) {
    for (Statement statement : body) {
      Flow flow = run(statement, scope, out);
      if (flow != Flow.NORMAL) {
        return flow;
      }
    }
    return Flow.NORMAL;
  }

  private Flow run(Statement node, Scope scope, Output out) {
    if (node instanceof Statement.Text text) {
      out.append(text.text());
    } else if (node instanceof Statement.Output output) {
      out.append(Values.text(evaluator.evaluate(output.value(), scope)));
    } else if (node instanceof Statement.If branches) {
      return branch(branches, scope, out);
    } else if (node instanceof Statement.For loop) {
      loop(loop, evaluator.evaluate(loop.items(), scope), 0, scope, out);
    } else if (node instanceof Statement.Break) {
      return Flow.BREAK;
    } else if (node instanceof Statement.Continue) {
      return Flow.CONTINUE;
    } else if (node instanceof Statement.Set set) {
      assign(set.target(), evaluator.evaluate(set.value(), scope), scope);
    } else if (node instanceof Statement.SetBlock block) {
      String text = capture(block.body(), new Scope(scope));
      assign(
          block.target(),
          block.filter() == null ? text : evaluator.filterBlock(block.filter(), text, scope),
          scope);
    } else if (node instanceof Statement.MacroDefinition macro) {
      scope.set(
          macro.name(), new Macro(this, macro.name(), macro.signature(), macro.body(), scope));
    } else {
      block(node, scope, out);
    }
    return Flow.NORMAL;
  }

  /** Statements with a body in a scope of its own. */
  private void block(Statement node, Scope scope, Output out) {
    Scope inner = new Scope(scope);
    if (node instanceof Statement.With with) {
      for (int i = 0; i < with.targets().size(); i++) {
        assign(with.targets().get(i), evaluator.evaluate(with.values().get(i), scope), inner);
      }
      run(with.body(), inner, out);
    } else if (node instanceof Statement.Scoped scoped) {
      run(scoped.body(), inner, out);
    } else if (node instanceof Statement.FilterBlock filter) {
      String text = capture(filter.body(), inner);
      out.append(Values.text(evaluator.filterBlock(filter.filter(), text, scope)));
    } else if (node instanceof Statement.Generation generation) {
      generationsAreComplete &= out.appendGeneration(capture(generation.body(), inner));
    } else if (node instanceof Statement.CallBlock call) {
      Macro caller = new Macro(this, "caller", call.signature(), call.body(), scope);
      Object callee = evaluator.evaluate(call.call().callee(), scope);
      Arguments given = evaluator.arguments(call.call().arguments(), scope);
      Map<String, Object> keywords = new LinkedHashMap<>(given.keywords());
      keywords.put("caller", caller);
      out.append(Values.text(Evaluator.call(callee, new Arguments(given.positional(), keywords))));
    } else {
      throw new IllegalStateException("no such statement: " + node);
    }
  }

  private Flow branch(Statement.If node, Scope scope, Output out) {
    for (int i = 0; i < node.tests().size(); i++) {
      Expression test = node.tests().get(i);
      if (test == null || Values.truth(evaluator.evaluate(test, scope))) {
        return run(node.bodies().get(i), scope, out);
      }
    }
    return Flow.NORMAL;
  }

  private void loop(Statement.For node, Object iterable, long depth, Scope scope, Output out) {
    List<Object> items = Values.list(iterable);
    if (node.test() != null) {
      items = items.stream().filter(item -> holds(node, item, scope)).toList();
    }
    LoopState state =
        new LoopState(
            items,
            depth,
            !node.recursive()
                ? null
                : inner -> {
                  Output buffer = new Output(true);
                  loop(node, inner, depth + 1, scope, buffer);
                  return buffer.toString();
                });
    for (int i = 0; i < items.size(); i++) {
      state.at(i);
      Scope iteration = new Scope(scope);
      iteration.set("loop", state);
      assign(node.target(), items.get(i), iteration);
      if (run(node.body(), iteration, out) == Flow.BREAK) {
        break;
      }
    }
    if (items.isEmpty()) {
      run(node.otherwise(), new Scope(scope), out);
    }
  }

  private boolean holds(Statement.For node, Object item, Scope scope) {
    Scope inner = new Scope(scope);
    assign(node.target(), item, inner);
    return Values.truth(evaluator.evaluate(node.test(), inner));
  }

  private void assign(Target target, Object value, Scope scope) {
    if (target instanceof NameTarget name) {
      scope.set(name.name(), value);
    } else if (target instanceof NamespaceTarget attribute) {
      if (!(scope.get(attribute.name()) instanceof Namespace namespace)) {
        throw new JinjaException(
            "TemplateRuntimeError", "cannot assign attribute on non-namespace object");
      }
      namespace.attributes().put(attribute.attribute(), value);
    } else if (target instanceof TupleTarget tuple) {
      List<Object> values = Values.list(value);
      int expected = tuple.targets().size();
      if (values.size() != expected) {
        throw JinjaException.value(
            values.size() > expected
                ? "too many values to unpack (expected " + expected + ")"
                : "not enough values to unpack (expected "
                    + expected
                    + ", got "
                    + values.size()
                    + ")");
      }
      for (int i = 0; i < expected; i++) {
        assign(tuple.targets().get(i), values.get(i), scope);
      }
    }
  }
}
