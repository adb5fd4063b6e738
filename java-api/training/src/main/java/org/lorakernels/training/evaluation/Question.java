package org.lorakernels.training.evaluation;

import java.util.List;
import org.lorakernels.InvalidArgumentException;

/**
 * A context and several texts that may follow it, one of which is right.
 *
 * @param context what comes before; empty: the choices stand for themselves
 * @param delimiter between context and choice: a blank, or nothing
 * @param choices two or more, none of them empty
 * @param gold index of the right one
 */
public record Question(String context, String delimiter, List<String> choices, int gold) {
  /**
   * Checks and copies.
   *
   * @throws InvalidArgumentException if there are fewer than two choices, one is empty, or the
   *     index is out of range
   */
  public Question {
    choices = List.copyOf(choices);
    if (choices.size() < 2) {
      throw new InvalidArgumentException(
          "two choices or more were expected, but there are " + choices.size());
    }
    if (choices.contains("")) {
      throw new InvalidArgumentException("choice " + choices.indexOf("") + " is empty");
    }
    if (gold < 0 || gold >= choices.size()) {
      throw new InvalidArgumentException(
          "the right answer must be one of 0 ... " + (choices.size() - 1) + ", but is " + gold);
    }
  }
}
