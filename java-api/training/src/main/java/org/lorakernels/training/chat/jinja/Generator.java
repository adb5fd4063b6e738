package org.lorakernels.training.chat.jinja;

import java.util.Iterator;
import java.util.function.Function;
import java.util.function.Predicate;

/** Python's generator: can be iterated over once, and knows no length. */
final class Generator implements Iterator<Object> {
  private final Iterator<?> items;

  Generator(Iterator<?> items) {
    this.items = items;
  }

  /** Of the items that {@code test} holds for. */
  static Generator filtered(Iterator<Object> items, Predicate<Object> test) {
    return new Generator(
        new Iterator<>() {
          private Object next;
          private boolean ready;

          @Override
          public boolean hasNext() {
            while (!ready && items.hasNext()) {
              next = items.next();
              ready = test.test(next);
            }
            return ready;
          }

          @Override
          public Object next() {
            if (!hasNext()) {
              throw new java.util.NoSuchElementException();
            }
            ready = false;
            return next;
          }
        });
  }

  /** Of what {@code function} makes of the items. */
  static Generator mapped(Iterator<Object> items, Function<Object, Object> function) {
    return new Generator(
        new Iterator<>() {
          @Override
          public boolean hasNext() {
            return items.hasNext();
          }

          @Override
          public Object next() {
            return function.apply(items.next());
          }
        });
  }

  @Override
  public boolean hasNext() {
    return items.hasNext();
  }

  @Override
  public Object next() {
    return items.next();
  }
}
