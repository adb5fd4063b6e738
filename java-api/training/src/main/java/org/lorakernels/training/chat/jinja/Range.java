package org.lorakernels.training.chat.jinja;

import java.util.ArrayList;
import java.util.List;

/** Python's range. */
record Range(long start, long stop, long step) {
  /** The sandbox's limit. */
  private static final long MAX_LENGTH = 100_000;

  static Range of(Arguments arguments) {
    arguments.limit("range", 3);
    long first = Numbers.index(arguments.require(0, "range", "start"));
    boolean single = arguments.positional().size() < 2;
    long start = single ? 0 : first;
    long stop = single ? first : Numbers.index(arguments.get(1, "stop", null));
    long step = Numbers.index(arguments.get(2, "step", 1L));
    if (step == 0) {
      throw JinjaException.value("range() arg 3 must not be zero");
    }
    Range range = new Range(start, stop, step);
    if (range.length() > MAX_LENGTH) {
      throw new JinjaException(
          "OverflowError",
          "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
    }
    return range;
  }

  long length() {
    long span = step > 0 ? stop - start : start - stop;
    return span <= 0 ? 0 : (span - 1) / Math.abs(step) + 1;
  }

  List<Object> items() {
    List<Object> items = new ArrayList<>();
    for (long i = 0; i < length(); i++) {
      items.add(start + i * step);
    }
    return items;
  }

  @Override
  public String toString() {
    return "range(" + start + ", " + stop + (step == 1 ? "" : ", " + step) + ")";
  }
}
