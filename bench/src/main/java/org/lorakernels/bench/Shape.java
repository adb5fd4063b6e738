package org.lorakernels.bench;

/**
 * Shape of a weight.
 *
 * @param n rows, out features
 * @param k columns, in features
 */
record Shape(long n, long k) {
  /** From {@code 4096x11008}. */
  static Shape parse(String text) {
    String[] parts = text.split("x");
    return new Shape(Long.parseLong(parts[0]), Long.parseLong(parts[1]));
  }
}
