package org.lorakernels.json;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/**
 * Reads a document of RFC 8259, strictly: UTF-8 without a byte order mark, one value, no comments,
 * no trailing commas, no NaN, no duplicate names in an object, no unpaired surrogates, and at most
 * {@value #MAX_DEPTH} containers inside one another, so that no input exhausts the stack.
 *
 * <p>It works on the bytes: outside of strings every byte of a document is ASCII, so that only
 * strings need decoding.
 */
public final class JsonReader {
  /** The number of containers that may stand inside one another. */
  public static final int MAX_DEPTH = 64;

  /** The most bytes that a document may have unless the caller says otherwise: 100 MB. */
  public static final int MAX_BYTES = 100_000_000;

  private final byte[] bytes;
  private int at;
  private int depth;

  private JsonReader(byte[] bytes) {
    this.bytes = bytes;
  }

  /**
   * The value of a document.
   *
   * @param text the document
   * @throws JsonException if it is not JSON
   */
  public static JsonValue parse(String text) {
    return parse(text.getBytes(StandardCharsets.UTF_8));
  }

  /**
   * The value of a document of at most {@link #MAX_BYTES}.
   *
   * @param utf8 the document, in UTF-8
   * @throws JsonException if it is not JSON or too long
   */
  public static JsonValue parse(byte[] utf8) {
    if (utf8.length > MAX_BYTES) {
      throw new JsonException(
          "JSON: expected at most " + MAX_BYTES + " bytes, but there are " + utf8.length);
    }
    return new JsonReader(utf8).document();
  }

  /**
   * The object that a document consists of.
   *
   * @param utf8 the document, in UTF-8
   * @throws JsonException if it is not JSON, too long, or another kind of value
   */
  public static JsonObject parseObject(byte[] utf8) {
    JsonValue value = parse(utf8);
    if (!(value instanceof JsonObject object)) {
      throw new JsonException("JSON: expected an object, but the document is " + value.kind());
    }
    return object;
  }

  private JsonValue document() {
    JsonValue value = value();
    if (at < bytes.length) {
      throw unexpected("the end of the document");
    }
    return value;
  }

  /** A value with the blanks around it. */
  private JsonValue value() {
    skipBlanks();
    JsonValue value =
        switch (peek()) {
          case '{' -> object();
          case '[' -> array();
          case '"' -> new JsonString(string());
          case 't' -> literal("true", JsonBoolean.TRUE);
          case 'f' -> literal("false", JsonBoolean.FALSE);
          case 'n' -> literal("null", JsonNull.NULL);
          default -> number();
        };
    skipBlanks();
    return value;
  }

  private JsonObject object() {
    enter();
    JsonObject object = new JsonObject();
    if (!takeAfterBlanks('}')) {
      do {
        member(object);
      } while (take(','));
      expect('}', "',' or '}'");
    }
    depth--;
    return object;
  }

  private void member(JsonObject object) {
    skipBlanks();
    int start = at;
    if (peek() != '"') {
      throw unexpected("a name in quotes");
    }
    String name = string();
    if (object.has(name)) {
      at = start;
      throw error("the name \"" + abbreviated(name) + "\" occurs twice in one object");
    }
    skipBlanks();
    expect(':', "':'");
    object.put(name, value());
  }

  private JsonArray array() {
    enter();
    JsonArray array = new JsonArray();
    if (!takeAfterBlanks(']')) {
      do {
        array.add(value());
      } while (take(','));
      expect(']', "',' or ']'");
    }
    depth--;
    return array;
  }

  /** Steps over the opening bracket of a container. */
  private void enter() {
    if (++depth > MAX_DEPTH) {
      throw error("expected at most " + MAX_DEPTH + " containers inside one another");
    }
    at++;
  }

  private JsonValue literal(String word, JsonValue value) {
    for (int i = 0; i < word.length(); i++) {
      if (peek() != word.charAt(i)) {
        throw unexpected("'" + word + "'");
      }
      at++;
    }
    return value;
  }

  private JsonNumber number() {
    int start = at;
    take('-');
    if (!take('0')) {
      digits("a value");
    }
    if (take('.')) {
      digits("a digit after the decimal point");
    }
    if (take('e') || take('E')) {
      if (!take('+')) {
        take('-');
      }
      digits("a digit of the exponent");
    }
    return new JsonNumber(new String(bytes, start, at - start, StandardCharsets.ISO_8859_1));
  }

  private void digits(String expected) {
    if (!isDigit(peek())) {
      throw unexpected(expected);
    }
    while (isDigit(peek())) {
      at++;
    }
  }

  private static boolean isDigit(int c) {
    return '0' <= c && c <= '9';
  }

  private String string() {
    int start = ++at;
    while (isPlain(peek())) {
      at++;
    }
    if (peek() == '"') { // the common case: nothing to decode
      return new String(bytes, start, at++ - start, StandardCharsets.ISO_8859_1);
    }
    StringBuilder out = new StringBuilder();
    while (true) {
      append(start, out);
      if (take('"')) {
        return out.toString();
      }
      expect('\\', "a character of a string, or '\"'");
      escape(out);
      start = at;
    }
  }

  /** Appends the bytes from {@code start} up to the next quote, escape or control character. */
  private void append(int start, StringBuilder out) {
    while (isPlain(peek()) || peek() >= 0x80) {
      at++;
    }
    try {
      out.append(
          StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, start, at - start)));
    } catch (CharacterCodingException e) {
      at = start;
      throw error("expected UTF-8, but the string that goes on here is not");
    }
  }

  private static boolean isPlain(int c) {
    return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
  }

  /** Reads what follows a backslash. */
  private void escape(StringBuilder out) {
    int c = peek();
    at++;
    switch (c) {
      case '"', '\\', '/' -> out.append((char) c);
      case 'b' -> out.append('\b');
      case 'f' -> out.append('\f');
      case 'n' -> out.append('\n');
      case 'r' -> out.append('\r');
      case 't' -> out.append('\t');
      case 'u' -> unicodeEscape(out);
      default -> {
        at--;
        throw unexpected("one of \"\\/bfnrtu after a backslash");
      }
    }
  }

  private void unicodeEscape(StringBuilder out) {
    int start = at;
    char unit = codeUnit();
    out.append(unit);
    if (!Character.isSurrogate(unit)) {
      return;
    }
    if (Character.isHighSurrogate(unit) && take('\\') && take('u')) {
      char low = codeUnit();
      if (Character.isLowSurrogate(low)) {
        out.append(low);
        return;
      }
    }
    at = start;
    throw error("expected a pair of surrogates, but one stands alone");
  }

  private char codeUnit() {
    int unit = 0;
    for (int i = 0; i < 4; i++) {
      int digit = peek() < 0x80 ? Character.digit(peek(), 16) : -1;
      if (digit < 0) {
        throw unexpected("four hexadecimal digits");
      }
      unit = unit << 4 | digit;
      at++;
    }
    return (char) unit;
  }

  private void skipBlanks() {
    while (at < bytes.length
        && (bytes[at] == ' ' || bytes[at] == '\n' || bytes[at] == '\r' || bytes[at] == '\t')) {
      at++;
    }
  }

  /** The next byte, 0...255, or -1 at the end. */
  private int peek() {
    return at < bytes.length ? bytes[at] & 0xff : -1;
  }

  private boolean take(char c) {
    if (peek() != c) {
      return false;
    }
    at++;
    return true;
  }

  private boolean takeAfterBlanks(char c) {
    skipBlanks();
    return take(c);
  }

  private void expect(char c, String expected) {
    if (!take(c)) {
      throw unexpected(expected);
    }
  }

  private JsonException unexpected(String expected) {
    int c = peek();
    String found;
    if (c < 0) {
      found = "the document ends";
    } else if (c > ' ' && c < 0x7f) {
      found = "there is '" + (char) c + "'";
    } else {
      found = String.format("there is the byte 0x%02x", c);
    }
    return error("expected " + expected + ", but " + found);
  }

  private JsonException error(String message) {
    int line = 1;
    int column = 1;
    for (int i = 0; i < at && i < bytes.length; i++) {
      column = bytes[i] == '\n' ? 1 : column + 1;
      line += bytes[i] == '\n' ? 1 : 0;
    }
    return new JsonException("JSON line " + line + ", byte " + column + ": " + message);
  }

  private static String abbreviated(String name) {
    return name.length() <= 80 ? name : name.substring(0, 80) + "...";
  }
}
