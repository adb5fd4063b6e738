package org.lorakernels.training.generation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

class StopStringsTest {
  @Provide
  Arbitrary<List<String>> pieces() {
    return Arbitraries.strings().withChars("ab").ofMaxLength(4).list().ofMaxSize(12);
  }

  @Provide
  Arbitrary<List<String>> stops() {
    return Arbitraries.strings().withChars("ab").ofMinLength(1).ofMaxLength(5).list().ofMaxSize(3);
  }

  @Property(tries = 2000)
  void textEndsBeforeTheFirstStopStringHoweverItComes(
      @ForAll("pieces") List<String> pieces, @ForAll("stops") List<String> stops) {
    String expected = upToFirst(String.join("", pieces), stops);
    StopStrings scanner = new StopStrings(stops);
    StringBuilder given = new StringBuilder();
    for (String piece : pieces) {
      given.append(scanner.append(piece));
      assertTrue(expected.startsWith(given.toString()), given + " is no part of " + expected);
    }
    given.append(scanner.finish());
    assertEquals(expected, given.toString());
    assertEquals(!expected.equals(String.join("", pieces)), scanner.found());
  }

  /** Reads letter by letter until the text ends with a stop string. */
  private static String upToFirst(String text, List<String> stops) {
    for (int end = 1; end <= text.length(); end++) {
      String read = text.substring(0, end);
      int longest = stops.stream().filter(read::endsWith).mapToInt(String::length).max().orElse(0);
      if (longest > 0) {
        return read.substring(0, end - longest);
      }
    }
    return text;
  }
}
