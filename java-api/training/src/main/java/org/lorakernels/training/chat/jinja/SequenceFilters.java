package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Filters over sequences and mappings. */
final class SequenceFilters {
  private SequenceFilters() {}

  static void register(Map<String, Filters.Filter> into) {
    into.put("length", (in, a) -> Values.length(in));
    into.put("count", (in, a) -> Values.length(in));
    into.put("list", (in, a) -> new ArrayList<>(Values.list(in)));
    into.put("first", SequenceFilters::first);
    into.put("last", SequenceFilters::last);
    into.put("join", SequenceFilters::join);
    into.put("reverse", SequenceFilters::reverse);
    into.put("sort", SequenceFilters::sort);
    into.put("dictsort", SequenceFilters::dictSort);
    into.put("items", SequenceFilters::items);
    into.put("unique", SequenceFilters::unique);
    into.put("batch", SequenceFilters::batch);
    into.put("slice", SequenceFilters::slice);
    into.put("groupby", SequenceFilters::groupBy);
    into.put("min", (in, a) -> extreme(in, a, "min", -1));
    into.put("max", (in, a) -> extreme(in, a, "max", 1));
  }

  private static Object first(Object input, Arguments arguments) {
    arguments.limit("first", 0);
    var items = Values.iterator(input);
    return items.hasNext() ? items.next() : Undefined.hint("No first item, sequence was empty.");
  }

  private static Object last(Object input, Arguments arguments) {
    arguments.limit("last", 0);
    List<Object> items = reversible(input);
    return items.isEmpty()
        ? Undefined.hint("No last item, sequence was empty.")
        : items.get(items.size() - 1);
  }

  private static List<Object> reversible(Object input) {
    if (input instanceof Generator || !Values.isIterable(input)) {
      throw JinjaException.type("'" + Values.typeName(input) + "' object is not reversible");
    }
    return Values.list(input);
  }

  private static Object join(Object input, Arguments arguments) {
    String separator = Values.text(arguments.limit("join", 2).get(0, "d", ""));
    Function<Object, Object> getter = AttributeGetter.of(arguments.get(1, "attribute", null), null);
    return Values.list(input).stream()
        .map(getter)
        .map(Values::text)
        .collect(Collectors.joining(separator));
  }

  private static Object reverse(Object input, Arguments arguments) {
    arguments.limit("reverse", 0);
    if (input instanceof String text) {
      return new StringBuilder(text).reverse().toString();
    }
    if (!Values.isIterable(input)) {
      throw new JinjaException("FilterArgumentError", "argument must be iterable");
    }
    boolean isList = input instanceof Generator;
    List<Object> items = new ArrayList<>(Values.list(input));
    Collections.reverse(items);
    return isList ? items : new Generator(items.iterator());
  }

  private static Object sort(Object input, Arguments arguments) {
    arguments.limit("sort", 3);
    boolean reverse = arguments.truth(0, "reverse", false);
    boolean caseSensitive = arguments.truth(1, "case_sensitive", false);
    Object attribute = arguments.get(2, "attribute", null);
    List<Object> items = new ArrayList<>(Values.list(input));
    Comparator<Object> order =
        attribute instanceof String paths && paths.contains(",")
            ? by(multiple(paths, caseSensitive))
            : by(AttributeGetter.key(attribute, caseSensitive));
    items.sort(reverse ? order.reversed() : order);
    return items;
  }

  private static Function<Object, Object> multiple(String paths, boolean caseSensitive) {
    List<Function<Object, Object>> getters = new ArrayList<>();
    for (String path : paths.split(",", -1)) {
      getters.add(AttributeGetter.key(path, caseSensitive));
    }
    return item -> {
      List<Object> keys = new ArrayList<>();
      getters.forEach(getter -> keys.add(getter.apply(item)));
      return keys;
    };
  }

  private static Comparator<Object> by(Function<Object, Object> key) {
    return (a, b) -> Operators.order("<", key.apply(a), key.apply(b));
  }

  private static Object dictSort(Object input, Arguments arguments) {
    arguments.limit("dictsort", 3);
    boolean caseSensitive = arguments.truth(0, "case_sensitive", false);
    Object by = arguments.get(1, "by", "key");
    boolean reverse = arguments.truth(2, "reverse", false);
    if (!"key".equals(by) && !"value".equals(by)) {
      throw new JinjaException(
          "FilterArgumentError", "You can only sort by either \"key\" or \"value\"");
    }
    if (!(input instanceof Map || input instanceof Undefined)) {
      throw new JinjaException(
          "AttributeError", "'" + Values.typeName(input) + "' object has no attribute 'items'");
    }
    List<Object> pairs = pairs(input);
    Comparator<Object> order = by(AttributeGetter.key("key".equals(by) ? 0L : 1L, caseSensitive));
    pairs.sort(reverse ? order.reversed() : order);
    return pairs;
  }

  private static List<Object> pairs(Object input) {
    if (input instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (!(input instanceof Map<?, ?> map)) {
      throw JinjaException.type("Can only get item pairs from a mapping.");
    }
    List<Object> pairs = new ArrayList<>();
    map.forEach((key, value) -> pairs.add(Tuple.of(key, value)));
    return pairs;
  }

  private static Object items(Object input, Arguments arguments) {
    arguments.limit("items", 0);
    return new Generator(
        input instanceof Undefined ? Collections.emptyIterator() : pairs(input).iterator());
  }

  private static Object unique(Object input, Arguments arguments) {
    arguments.limit("unique", 2);
    boolean caseSensitive = arguments.truth(0, "case_sensitive", false);
    Function<Object, Object> key =
        AttributeGetter.key(arguments.get(1, "attribute", null), caseSensitive);
    List<Object> seen = new ArrayList<>();
    return Generator.filtered(
        Values.iterator(input),
        item -> {
          Object value = Values.requireHashable(key.apply(item));
          boolean isNew = seen.stream().noneMatch(other -> Values.equal(other, value));
          if (isNew) {
            seen.add(value);
          }
          return isNew;
        });
  }

  private static Object batch(Object input, Arguments arguments) {
    int count = (int) Numbers.index(arguments.limit("batch", 2).require(0, "batch", "linecount"));
    Object fill = arguments.get(1, "fill_with", null);
    List<Object> batches = new ArrayList<>();
    List<Object> current = new ArrayList<>();
    for (Object item : Values.list(input)) {
      if (current.size() == count) {
        batches.add(current);
        current = new ArrayList<>();
      }
      current.add(item);
    }
    if (!current.isEmpty()) {
      while (fill != null && current.size() < count) {
        current.add(fill);
      }
      batches.add(current);
    }
    return new Generator(batches.iterator());
  }

  private static Object slice(Object input, Arguments arguments) {
    int count = (int) Numbers.index(arguments.limit("slice", 2).require(0, "slice", "slices"));
    Object fill = arguments.get(1, "fill_with", null);
    List<Object> items = Values.list(input);
    if (count <= 0) {
      throw new JinjaException("ZeroDivisionError", "integer division or modulo by zero");
    }
    int each = items.size() / count;
    int longer = items.size() % count;
    List<Object> slices = new ArrayList<>();
    int at = 0;
    for (int i = 0; i < count; i++) {
      int end = at + each + (i < longer ? 1 : 0);
      List<Object> slice = new ArrayList<>(items.subList(at, end));
      if (fill != null && i >= longer) {
        slice.add(fill);
      }
      slices.add(slice);
      at = end;
    }
    return new Generator(slices.iterator());
  }

  private static Object groupBy(Object input, Arguments arguments) {
    Object attribute = arguments.limit("groupby", 3).require(0, "groupby", "attribute");
    Function<Object, Object> value =
        AttributeGetter.of(attribute, arguments.get(1, "default", null));
    boolean caseSensitive = arguments.truth(2, "case_sensitive", false);
    Function<Object, Object> key = caseSensitive ? value : value.andThen(AttributeGetter::lower);
    List<Object> items = new ArrayList<>(Values.list(input));
    items.sort(by(key));
    List<Object> groups = new ArrayList<>();
    List<Object> group = null;
    Object current = null;
    for (Object item : items) {
      Object itemKey = key.apply(item);
      if (group == null || !Values.equal(itemKey, current)) {
        group = new ArrayList<>();
        current = itemKey;
        List<Object> pair = new ArrayList<>();
        pair.add(value.apply(item));
        pair.add(group);
        groups.add(new Tuple(pair, List.of("grouper", "list")));
      }
      group.add(item);
    }
    return groups;
  }

  private static Object extreme(Object input, Arguments arguments, String name, int sign) {
    arguments.limit(name, 2);
    Function<Object, Object> key =
        AttributeGetter.key(
            arguments.get(1, "attribute", null), arguments.truth(0, "case_sensitive", false));
    Object best = Values.MISSING;
    for (Object item : Values.list(input)) {
      if (best == Values.MISSING
          || sign * Operators.order(sign < 0 ? "<" : ">", key.apply(item), key.apply(best)) > 0) {
        best = item;
      }
    }
    return best == Values.MISSING
        ? Undefined.hint("No aggregated item, sequence was empty.")
        : best;
  }
}
