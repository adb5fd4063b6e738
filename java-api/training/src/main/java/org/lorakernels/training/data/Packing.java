package org.lorakernels.training.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.lorakernels.InvalidArgumentException;

/**
 * Which sequences share a row: best fit, the longest first (needs at most 11/9 of the fewest rows;
 * Johnson 1973). Rows and what is in them are in the order of the data, so that the result depends
 * on the lengths alone.
 */
final class Packing {
  private Packing() {}

  /**
   * Packs.
   *
   * @param lengths tokens of each sequence, 1 to {@code capacity}
   * @param capacity the most tokens of a row
   * @return the numbers of the sequences of each row
   */
  static List<int[]> pack(int[] lengths, int capacity) {
    Integer[] longestFirst = IntStream.range(0, lengths.length).boxed().toArray(Integer[]::new);
    Arrays.sort(longestFirst, Comparator.comparing((Integer i) -> -lengths[i]));
    TreeMap<Integer, List<List<Integer>>> byRoom = new TreeMap<>();
    List<List<Integer>> rows = new ArrayList<>();
    for (int example : longestFirst) {
      int length = lengths[example];
      if (length < 1 || length > capacity) {
        throw new InvalidArgumentException(
            "Packing: a sequence must have 1 to "
                + capacity
                + " tokens, but one has "
                + length
                + "; truncate it first");
      }
      Integer room = byRoom.ceilingKey(length);
      List<Integer> row;
      if (room == null) {
        row = new ArrayList<>();
        rows.add(row);
        room = capacity;
      } else {
        List<List<Integer>> fitting = byRoom.get(room);
        row = fitting.remove(fitting.size() - 1);
        if (fitting.isEmpty()) {
          byRoom.remove(room);
        }
      }
      row.add(example);
      if (room > length) {
        byRoom.computeIfAbsent(room - length, key -> new ArrayList<>()).add(row);
      }
    }
    return rows.stream()
        .map(row -> row.stream().mapToInt(Integer::intValue).sorted().toArray())
        .sorted(Comparator.comparing((int[] row) -> row[0]))
        .toList();
  }
}
