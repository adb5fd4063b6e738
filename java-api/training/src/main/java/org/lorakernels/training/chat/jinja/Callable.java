package org.lorakernels.training.chat.jinja;

/** Something that can be called: a function, a method, a macro, a recursive loop. */
@FunctionalInterface
interface Callable {
  Object call(Arguments arguments);
}
