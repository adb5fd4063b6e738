package org.lorakernels.training.chat.jinja;

import java.util.List;
import java.util.function.UnaryOperator;

/** The variable {@code loop}. */
final class LoopState implements HasAttributes, Callable {
  private final List<Object> items;
  private final long depth;
  private final UnaryOperator<Object> recursion;
  private int index;
  private Object lastChanged = Values.MISSING;

  /**
   * Before the first item.
   *
   * @param items all items
   * @param depth 0 for the outermost loop
   * @param recursion renders the loop over other items; null where it is not recursive
   */
  LoopState(List<Object> items, long depth, UnaryOperator<Object> recursion) {
    this.items = items;
    this.depth = depth;
    this.recursion = recursion;
  }

  void at(int index) {
    this.index = index;
  }

  long length() {
    return items.size();
  }

  @Override
  public String type() {
    return "jinja2.runtime.LoopContext";
  }

  @Override
  public Object attribute(String name) {
    return switch (name) {
      case "index" -> (long) index + 1;
      case "index0" -> (long) index;
      case "revindex" -> (long) items.size() - index;
      case "revindex0" -> (long) items.size() - index - 1;
      case "first" -> index == 0;
      case "last" -> index == items.size() - 1;
      case "length" -> length();
      case "depth" -> depth + 1;
      case "depth0" -> depth;
      case "previtem" ->
          index > 0 ? items.get(index - 1) : Undefined.hint("there is no previous item");
      case "nextitem" ->
          index + 1 < items.size() ? items.get(index + 1) : Undefined.hint("there is no next item");
      case "cycle" -> (Callable) this::cycle;
      case "changed" -> (Callable) this::changed;
      default -> Values.MISSING;
    };
  }

  private Object cycle(Arguments arguments) {
    if (arguments.positional().isEmpty()) {
      throw JinjaException.type("no items for cycling given");
    }
    return arguments.positional().get(index % arguments.positional().size());
  }

  private Object changed(Arguments arguments) {
    Object value = new Tuple(arguments.positional());
    boolean changed = lastChanged == Values.MISSING || !Values.equal(value, lastChanged);
    lastChanged = value;
    return changed;
  }

  @Override
  public Object call(Arguments arguments) {
    if (recursion == null) {
      throw JinjaException.type(
          "The loop must have the 'recursive' marker to be called recursively.");
    }
    return recursion.apply(arguments.limit("loop", 1).require(0, "loop", "iterable"));
  }
}
