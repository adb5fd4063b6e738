/**
 * Chat templates: Jinja2 3.1 as transformers sets it up, in Java.
 *
 * <p>{@link org.lorakernels.training.chat.jinja.Lexer} cuts a template into tokens (and does the
 * whitespace control), the parsers build {@link org.lorakernels.training.chat.jinja.Statement
 * statements} and {@link org.lorakernels.training.chat.jinja.Expression expressions}, {@code
 * Renderer} and {@code Evaluator} run them over Python's values. {@link
 * org.lorakernels.training.chat.jinja.Template} is the way in.
 *
 * <p>Values are Java's: {@code null} (None), {@code Boolean}, {@code Long}, {@code Double}, {@code
 * String}, {@code List}, {@code Map} in order of insertion, and the package's own for what Java
 * lacks (undefined, tuples, views, generators, namespaces, callables).
 *
 * <p>Not there: inheritance and imports (transformers gives templates no loader), autoescape (off
 * in transformers), and the filters {@code urlize}, {@code xmlattr}, {@code random}, {@code pprint}
 * and {@code filesizeformat}, which are errors by name.
 */
package org.lorakernels.training.chat.jinja;
