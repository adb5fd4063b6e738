package org.lorakernels.training.generation;

import java.util.List;

/**
 * Finds the first of several strings in text that comes in pieces, and holds text back as long as
 * it may be the beginning of one: no part of a stop string is ever given out. The first is the one
 * that is complete first, of those the longest; so the pieces do not matter.
 */
final class StopStrings {
  private final List<String> strings;
  private final StringBuilder held = new StringBuilder();
  private boolean found;

  /**
   * Looks for strings.
   *
   * @param strings not empty strings; none of them: nothing is held back
   */
  StopStrings(List<String> strings) {
    this.strings = strings;
  }

  /**
   * Takes a piece of text.
   *
   * @param piece what follows
   * @return what may be given out: nothing of a stop string, nothing after one
   */
  String append(String piece) {
    if (found) {
      return "";
    }
    held.append(piece);
    int start = held.length();
    int end = Integer.MAX_VALUE;
    for (String string : strings) {
      int at = held.indexOf(string);
      int after = at + string.length();
      if (at >= 0 && (after < end || (after == end && at < start))) {
        start = at;
        end = after;
        found = true;
      }
    }
    return give(found ? start : start - beginning());
  }

  /** What was held back and, at the end of all text, is no stop string; empty after one. */
  String finish() {
    return found ? "" : give(held.length());
  }

  /** Whether a stop string came. */
  boolean found() {
    return found;
  }

  private String give(int length) {
    String text = held.substring(0, length);
    held.delete(0, length);
    return text;
  }

  /** Length of the longest end of the text that a stop string begins with. */
  private int beginning() {
    int longest = 0;
    for (String string : strings) {
      for (int n = Math.min(string.length() - 1, held.length()); n > longest; n--) {
        if (string.startsWith(held.substring(held.length() - n))) {
          longest = n;
        }
      }
    }
    return longest;
  }
}
