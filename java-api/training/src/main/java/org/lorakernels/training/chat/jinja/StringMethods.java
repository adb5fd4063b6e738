package org.lorakernels.training.chat.jinja;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntPredicate;
import java.util.stream.Collectors;

/** The methods of Python's str. */
final class StringMethods {
  private StringMethods() {}

  /** The method bound to {@code s}; null where there is none. */
  static Callable find(String s, String name) {
    Callable method = withoutArguments(s, name);
    if (method != null) {
      return arguments -> method.call(arguments.limit(name, 0));
    }
    return switch (name) {
      case "strip", "lstrip", "rstrip" -> a -> strip(s, name, a.limit(name, 1));
      case "split" -> a -> StringSplits.split(s, a.limit(name, 2));
      case "rsplit" -> a -> StringSplits.rsplit(s, a.limit(name, 2));
      case "splitlines" ->
          a -> StringSplits.splitLines(s, a.limit(name, 1).truth(0, "keepends", false));
      case "partition" ->
          a ->
              StringSplits.partition(
                  s,
                  s.indexOf(StringSplits.separator(a, name)),
                  StringSplits.separator(a, name),
                  true);
      case "rpartition" ->
          a ->
              StringSplits.partition(
                  s,
                  s.lastIndexOf(StringSplits.separator(a, name)),
                  StringSplits.separator(a, name),
                  false);
      case "startswith", "endswith" -> a -> affix(s, name, a.limit(name, 3));
      case "removeprefix" ->
          a -> {
            String prefix = a.limit(name, 1).text(0, name, "prefix");
            return s.startsWith(prefix) ? s.substring(prefix.length()) : s;
          };
      case "removesuffix" ->
          a -> {
            String suffix = a.limit(name, 1).text(0, name, "suffix");
            return s.endsWith(suffix) ? s.substring(0, s.length() - suffix.length()) : s;
          };
      case "replace" -> a -> replace(s, a.limit(name, 3));
      case "find", "rfind", "index", "rindex" -> a -> search(s, name, a.limit(name, 3));
      case "count" -> a -> count(part(s, a.limit(name, 3)), a.text(0, name, "sub"));
      case "join" ->
          a ->
              Values.list(a.limit(name, 1).require(0, name, "iterable")).stream()
                  .map(item -> joined(item))
                  .collect(Collectors.joining(s));
      case "ljust", "rjust", "center" -> a -> justify(s, name, a.limit(name, 2));
      case "zfill" ->
          a -> zfill(s, (int) Numbers.index(a.limit(name, 1).require(0, name, "width")));
      case "expandtabs" ->
          a -> expandTabs(s, Numbers.index(a.limit(name, 1).get(0, "tabsize", 8L)));
      case "format" -> a -> BraceFormat.format(s, a);
      case "format_map" ->
          a -> {
            Object mapping = a.limit(name, 1).require(0, name, "mapping");
            if (!(mapping instanceof Map<?, ?> map)) {
              throw JinjaException.type("format_map() expects a mapping");
            }
            return BraceFormat.format(s, new Arguments(List.of(), Values.stringKeys(map)));
          };
      default -> null;
    };
  }

  private static Callable withoutArguments(String s, String name) {
    return switch (name) {
      case "upper" -> a -> s.toUpperCase(Locale.ROOT);
      case "lower" -> a -> s.toLowerCase(Locale.ROOT);
      case "casefold" -> a -> s.toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT);
      case "title" -> a -> title(s);
      case "capitalize" -> a -> capitalize(s);
      case "swapcase" -> a -> swapCase(s);
      case "isspace" -> a -> all(s, PythonText::isSpace);
      case "isalpha" -> a -> all(s, Character::isLetter);
      case "isalnum" -> a -> all(s, c -> Character.isLetter(c) || isNumeric(c));
      case "isdigit", "isdecimal" -> a -> all(s, Character::isDigit);
      case "isnumeric" -> a -> all(s, StringMethods::isNumeric);
      case "isascii" -> a -> s.chars().allMatch(c -> c < 128);
      case "isupper" -> a -> hasCase(s) && s.equals(s.toUpperCase(Locale.ROOT));
      case "islower" -> a -> hasCase(s) && s.equals(s.toLowerCase(Locale.ROOT));
      case "istitle" -> a -> hasCase(s) && s.equals(title(s));
      case "isidentifier" -> a -> s.matches("(?U)[\\p{L}_][\\w]*");
      default -> null;
    };
  }

  private static boolean all(String s, IntPredicate test) {
    return !s.isEmpty() && s.codePoints().allMatch(test);
  }

  private static boolean isNumeric(int c) {
    int type = Character.getType(c);
    return type == Character.DECIMAL_DIGIT_NUMBER
        || type == Character.LETTER_NUMBER
        || type == Character.OTHER_NUMBER;
  }

  private static boolean hasCase(String s) {
    return s.codePoints().anyMatch(c -> Character.isUpperCase(c) || Character.isLowerCase(c));
  }

  static String capitalize(String s) {
    if (s.isEmpty()) {
      return s;
    }
    int first = s.offsetByCodePoints(0, 1);
    return new StringBuilder()
        .appendCodePoint(Character.toTitleCase(s.codePointAt(0)))
        .append(s.substring(first).toLowerCase(Locale.ROOT))
        .toString();
  }

  private static String title(String s) {
    StringBuilder out = new StringBuilder();
    boolean inWord = false;
    for (int c : s.codePoints().toArray()) {
      out.appendCodePoint(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inWord = Character.isLetter(c);
    }
    return out.toString();
  }

  private static String swapCase(String s) {
    StringBuilder out = new StringBuilder();
    s.codePoints()
        .forEach(
            c ->
                out.appendCodePoint(
                    Character.isUpperCase(c)
                        ? Character.toLowerCase(c)
                        : Character.toUpperCase(c)));
    return out.toString();
  }

  private static String strip(String s, String name, Arguments arguments) {
    Object characters = arguments.get(0, "chars", null);
    boolean left = !name.equals("rstrip");
    boolean right = !name.equals("lstrip");
    if (characters == null) {
      String result = left ? PythonText.lstrip(s) : s;
      return right ? PythonText.rstrip(result) : result;
    }
    String set = Values.requireText(name, characters);
    String result = left ? PythonText.lstrip(s, set) : s;
    return right ? PythonText.rstrip(result, set) : result;
  }

  private static boolean affix(String s, String name, Arguments arguments) {
    Object affixes = arguments.require(0, name, "prefix");
    String in = part(s, arguments);
    List<Object> all = affixes instanceof Tuple tuple ? tuple.items() : List.of(affixes);
    return all.stream()
        .map(affix -> Values.requireText(name, affix))
        .anyMatch(affix -> name.equals("startswith") ? in.startsWith(affix) : in.endsWith(affix));
  }

  /** {@code s[start:end]} with the second and third arguments as bounds. */
  private static String part(String s, Arguments arguments) {
    if (arguments.positional().size() < 2) {
      return s;
    }
    return (String)
        Subscripts.item(
            s,
            new Subscripts.Slice(
                arguments.get(1, "start", null), arguments.get(2, "end", null), null));
  }

  private static String replace(String s, Arguments arguments) {
    String from = arguments.text(0, "replace", "old");
    String to = arguments.text(1, "replace", "new");
    return replace(s, from, to, Numbers.index(arguments.get(2, "count", -1L)));
  }

  /** At most {@code most} times; negative: everywhere. */
  static String replace(String s, String from, String to, long most) {
    if (most < 0) {
      return from.isEmpty() ? replace(s, from, to, PythonText.length(s) + 1L) : s.replace(from, to);
    }
    StringBuilder out = new StringBuilder();
    int at = 0;
    for (long i = 0; i < most; i++) {
      int found = s.indexOf(from, at);
      if (found < 0) {
        break;
      }
      out.append(s, at, found).append(to);
      at = found + from.length();
      if (from.isEmpty()) {
        if (at == s.length()) {
          break;
        }
        int next = s.offsetByCodePoints(at, 1);
        out.append(s, at, next);
        at = next;
      }
    }
    return out.append(s.substring(at)).toString();
  }

  private static Object search(String s, String name, Arguments arguments) {
    String part = arguments.text(0, name, "sub");
    String in = part(s, arguments);
    int found = name.startsWith("r") ? in.lastIndexOf(part) : in.indexOf(part);
    if (found < 0) {
      if (name.endsWith("index")) {
        throw JinjaException.value("substring not found");
      }
      return -1L;
    }
    long start = arguments.positional().size() < 2 ? 0 : Numbers.index(arguments.get(1, "", 0L));
    start = start < 0 ? Math.max(0, start + PythonText.length(s)) : start;
    return start + in.codePointCount(0, found);
  }

  private static long count(String s, String part) {
    if (part.isEmpty()) {
      return PythonText.length(s) + 1L;
    }
    long count = 0;
    for (int at = s.indexOf(part); at >= 0; at = s.indexOf(part, at + part.length())) {
      count++;
    }
    return count;
  }

  private static String joined(Object item) {
    if (item instanceof String text) {
      return text;
    }
    throw JinjaException.type(
        "sequence item: expected str instance, " + Values.typeName(item) + " found");
  }

  private static String justify(String s, String name, Arguments arguments) {
    int width = (int) Numbers.index(arguments.require(0, name, "width"));
    String fill = (String) arguments.get(1, "fillchar", " ");
    int missing = Math.max(0, width - PythonText.length(s));
    int left =
        switch (name) {
          case "ljust" -> 0;
          case "rjust" -> missing;
          default -> missing / 2 + (missing & width & 1);
        };
    return fill.repeat(left) + s + fill.repeat(missing - left);
  }

  private static String zfill(String s, int width) {
    int missing = Math.max(0, width - PythonText.length(s));
    boolean signed = s.startsWith("-") || s.startsWith("+");
    return (signed ? s.substring(0, 1) : "") + "0".repeat(missing) + s.substring(signed ? 1 : 0);
  }

  private static String expandTabs(String s, long size) {
    StringBuilder out = new StringBuilder();
    int column = 0;
    for (int c : s.codePoints().toArray()) {
      if (c == '\t') {
        int spaces = size <= 0 ? 0 : (int) (size - column % size);
        out.append(" ".repeat(spaces));
        column += spaces;
      } else {
        out.appendCodePoint(c);
        column = c == '\n' || c == '\r' ? 0 : column + 1;
      }
    }
    return out.toString();
  }
}
