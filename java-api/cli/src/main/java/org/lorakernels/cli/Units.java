package org.lorakernels.cli;

import java.util.Locale;
import org.lorakernels.InvalidArgumentException;

/** Quantities as people read them. */
final class Units {
  private Units() {}

  static String bytes(long bytes) {
    if (bytes < 1 << 20) {
      return String.format(Locale.ROOT, "%.1f KiB", bytes / 1024.0);
    }
    if (bytes < 1 << 30) {
      return String.format(Locale.ROOT, "%.1f MiB", bytes / (1024.0 * 1024));
    }
    return String.format(Locale.ROOT, "%.2f GiB", bytes / (1024.0 * 1024 * 1024));
  }

  /** Hours, minutes and seconds: {@code 1:02:03}, {@code 2:03}. */
  static String duration(double seconds) {
    long whole = Math.round(seconds);
    return whole < 3600
        ? String.format(Locale.ROOT, "%d:%02d", whole / 60, whole % 60)
        : String.format(Locale.ROOT, "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60);
  }

  /** Bytes that people write as {@code 800M} or {@code 12G}. */
  static long parseBytes(String option, String text) {
    if (!text.matches("\\d{1,9}[KMGkmg]?")) {
      throw new InvalidArgumentException(
          option + " must be a number with K, M or G, for example 12G, but is " + text);
    }
    int shift = "KMG".indexOf(Character.toUpperCase(text.charAt(text.length() - 1))) + 1;
    long number = Long.parseLong(shift == 0 ? text : text.substring(0, text.length() - 1));
    return number << 10 * shift;
  }

  static String millis(double nanos) {
    return String.format(Locale.ROOT, nanos < 1e7 ? "%.3f ms" : "%.1f ms", nanos / 1e6);
  }

  static String percent(double fraction) {
    return String.format(Locale.ROOT, "%.2f %%", 100 * fraction);
  }

  static String ratio(double value) {
    return String.format(Locale.ROOT, "%.2fx", value);
  }
}
