package org.lorakernels.training.chat.jinja;

import java.time.LocalDateTime;
import java.time.format.TextStyle;
import java.time.temporal.ChronoUnit;
import java.util.Locale;

/** Python's {@code datetime.strftime} in the C locale; {@code %-d} and the like without padding. */
final class Strftime {
  private Strftime() {}

  static String format(LocalDateTime time, String format) {
    StringBuilder out = new StringBuilder();
    for (int at = 0; at < format.length(); at++) {
      char c = format.charAt(at);
      if (c != '%' || at + 1 == format.length()) {
        out.append(c);
        continue;
      }
      boolean bare = format.charAt(at + 1) == '-' && at + 2 < format.length();
      at += bare ? 2 : 1;
      String text = directive(time, format.charAt(at));
      out.append(bare ? unpadded(text) : text);
    }
    return out.toString();
  }

  private static String unpadded(String text) {
    String stripped = text.replaceFirst("^[0 ]+(?=.)", "");
    return stripped.isEmpty() ? text : stripped;
  }

  private static String directive(LocalDateTime time, char directive) {
    return switch (directive) {
      case 'a' -> time.getDayOfWeek().getDisplayName(TextStyle.SHORT, Locale.ENGLISH);
      case 'A' -> time.getDayOfWeek().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
      case 'b', 'h' -> month(time).substring(0, 3);
      case 'B' -> month(time);
      case 'c' -> format(time, "%a %b %e %H:%M:%S %Y");
      case 'C' -> two(time.getYear() / 100);
      case 'd' -> two(time.getDayOfMonth());
      case 'D', 'x' -> format(time, "%m/%d/%y");
      case 'e' -> String.format("%2d", time.getDayOfMonth());
      case 'f' -> String.format("%06d", time.getNano() / 1000);
      case 'F' -> format(time, "%Y-%m-%d");
      case 'H' -> two(time.getHour());
      case 'I' -> two((time.getHour() + 11) % 12 + 1);
      case 'j' -> String.format("%03d", time.getDayOfYear());
      case 'm' -> two(time.getMonthValue());
      case 'M' -> two(time.getMinute());
      case 'n' -> "\n";
      case 'p' -> time.getHour() < 12 ? "AM" : "PM";
      case 'R' -> format(time, "%H:%M");
      case 'S' -> two(time.getSecond());
      case 't' -> "\t";
      case 'T', 'X' -> format(time, "%H:%M:%S");
      case 'u' -> Integer.toString(time.getDayOfWeek().getValue());
      case 'U' -> two((time.getDayOfYear() + 6 - time.getDayOfWeek().getValue() % 7) / 7);
      case 'w' -> Integer.toString(time.getDayOfWeek().getValue() % 7);
      case 'W' -> two((time.getDayOfYear() + 6 - (time.getDayOfWeek().getValue() + 6) % 7) / 7);
      case 'y' -> two(time.getYear() % 100);
      case 'Y' -> Integer.toString(time.getYear());
      case 's' ->
          Long.toString(ChronoUnit.SECONDS.between(LocalDateTime.of(1970, 1, 1, 0, 0), time));
      case 'z', 'Z' -> ""; // a time without a zone
      case '%' -> "%";
      default -> "%" + directive;
    };
  }

  private static String month(LocalDateTime time) {
    return time.getMonth().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
  }

  private static String two(int number) {
    return String.format("%02d", number);
  }
}
