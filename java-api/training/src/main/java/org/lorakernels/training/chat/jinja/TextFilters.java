package org.lorakernels.training.chat.jinja;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Filters over text. */
final class TextFilters {
  private static final Pattern WORD_BEGINNING =
      Pattern.compile("[-\\s({\\[<]+", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern WORD = Pattern.compile("\\w+", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern TAG = Pattern.compile("<!--.*?-->|<[^>]*>", Pattern.DOTALL);

  private TextFilters() {}

  static void register(Map<String, Filters.Filter> into) {
    plain(into, "string", text -> text);
    plain(into, "safe", text -> text);
    plain(into, "upper", text -> text.toUpperCase(Locale.ROOT));
    plain(into, "lower", text -> text.toLowerCase(Locale.ROOT));
    plain(into, "title", text -> title(text));
    plain(into, "capitalize", text -> StringMethods.capitalize(text));
    into.put("trim", TextFilters::trim);
    into.put("replace", TextFilters::replace);
    into.put("indent", TextFilters::indent);
    into.put("center", TextFilters::center);
    into.put("truncate", TextFilters::truncate);
    plain(into, "wordcount", text -> WORD.matcher(text).results().count());
    into.put("format", TextFilters::format);
    plain(into, "escape", text -> escape(text));
    plain(into, "e", text -> escape(text));
    plain(into, "forceescape", text -> escape(text));
    plain(into, "striptags", text -> stripTags(text));
    into.put("urlencode", TextFilters::urlEncode);
    into.put("wordwrap", WordWrap::filter);
  }

  /** A filter without arguments. */
  private static void plain(
      Map<String, Filters.Filter> into, String name, Function<String, Object> filter) {
    into.put(
        name,
        (input, arguments) -> {
          arguments.limit(name, 0);
          return filter.apply(Values.text(input));
        });
  }

  private static Object trim(Object input, Arguments arguments) {
    Object characters = arguments.limit("trim", 1).get(0, "chars", null);
    String text = Values.text(input);
    return characters == null
        ? PythonText.strip(text)
        : PythonText.lstrip(
            PythonText.rstrip(text, Values.requireText("trim", characters)), (String) characters);
  }

  private static Object replace(Object input, Arguments arguments) {
    String from = Values.text(arguments.limit("replace", 3).require(0, "replace", "old"));
    String to = Values.text(arguments.require(1, "replace", "new"));
    Object count = arguments.get(2, "count", null);
    return StringMethods.replace(
        Values.text(input), from, to, count == null ? -1 : Numbers.index(count));
  }

  private static String title(String text) {
    StringBuilder out = new StringBuilder();
    Matcher separator = WORD_BEGINNING.matcher(text);
    int at = 0;
    while (separator.find()) {
      out.append(StringMethods.capitalize(text.substring(at, separator.start())));
      out.append(separator.group());
      at = separator.end();
    }
    return out.append(StringMethods.capitalize(text.substring(at))).toString();
  }

  private static Object indent(Object input, Arguments arguments) {
    Object width = arguments.limit("indent", 3).get(0, "width", 4L);
    String indention =
        width instanceof String text ? text : " ".repeat((int) Math.max(0, Numbers.index(width)));
    boolean first = arguments.truth(1, "first", false);
    boolean blank = arguments.truth(2, "blank", false);
    List<Object> lines = StringSplits.splitLines(Values.requireText("indent", input) + "\n", false);
    StringBuilder out = new StringBuilder(first ? indention : "").append(lines.get(0));
    for (Object line : lines.subList(1, lines.size())) {
      out.append('\n').append(blank || !line.equals("") ? indention : "").append(line);
    }
    return out.toString();
  }

  private static Object center(Object input, Arguments arguments) {
    long width = Numbers.index(arguments.limit("center", 1).get(0, "width", 80L));
    return StringMethods.find(Values.text(input), "center").call(Arguments.of(width));
  }

  private static Object truncate(Object input, Arguments arguments) {
    int length = (int) Numbers.index(arguments.limit("truncate", 4).get(0, "length", 255L));
    boolean killWords = arguments.truth(1, "killwords", false);
    String end = Values.requireText("truncate", arguments.get(2, "end", "..."));
    Object given = arguments.get(3, "leeway", null);
    long leeway = given == null ? 5 : Numbers.index(given);
    if (Values.length(input) <= length + leeway) {
      return input;
    }
    String text = Values.requireText("truncate", input);
    String cut = text.substring(0, text.offsetByCodePoints(0, length - PythonText.length(end)));
    int space = cut.lastIndexOf(' ');
    return (killWords || space < 0 ? cut : cut.substring(0, space)) + end;
  }

  private static Object format(Object input, Arguments arguments) {
    if (!arguments.positional().isEmpty() && !arguments.keywords().isEmpty()) {
      throw new JinjaException(
          "FilterArgumentError", "can't handle positional and keyword arguments at the same time");
    }
    return PrintfFormat.format(
        Values.text(input),
        arguments.keywords().isEmpty() ? new Tuple(arguments.positional()) : arguments.keywords());
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace(">", "&gt;")
        .replace("<", "&lt;")
        .replace("'", "&#39;")
        .replace("\"", "&#34;");
  }

  private static String stripTags(String text) {
    String bare = TAG.matcher(text).replaceAll("");
    List<Object> words = Values.list(StringMethods.find(bare, "split").call(Arguments.NONE));
    return words.stream()
        .map(Values::text)
        .collect(Collectors.joining(" "))
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&");
  }

  private static Object urlEncode(Object input, Arguments arguments) {
    arguments.limit("urlencode", 0);
    if (input instanceof String || !Values.isIterable(input)) {
      return quote(Values.text(input)).replace("%2F", "/");
    }
    List<Object> pairs =
        input instanceof Map<?, ?> map
            ? Values.list(Methods.find(map, "items").call(Arguments.NONE))
            : Values.list(input);
    return pairs.stream().map(TextFilters::queryPair).collect(Collectors.joining("&"));
  }

  private static String queryPair(Object pair) {
    List<Object> both = Values.list(pair);
    if (both.size() != 2) {
      throw JinjaException.value("expected a name and a value, but there are " + both.size());
    }
    return query(Values.text(both.get(0))) + "=" + query(Values.text(both.get(1)));
  }

  private static String query(String text) {
    return quote(text).replace("%20", "+");
  }

  private static String quote(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8)
        .replace("+", "%20")
        .replace("*", "%2A")
        .replace("%7E", "~");
  }
}
