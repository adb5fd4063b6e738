package org.lorakernels.training.chat.jinja;

/** An object of Jinja2's own with attributes. */
interface HasAttributes {
  /** The class as Python names it, with its module. */
  String type();

  /** The attribute; {@link Values#MISSING} where there is none. */
  Object attribute(String name);
}
