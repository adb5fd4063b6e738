package org.lorakernels.training.data;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;

/**
 * Reads a file of examples one by one: JSON lines, or a JSON array of objects, told apart by their
 * first character. The shape is told by the fields of the first example unless it is said. One
 * thread at a time.
 */
public final class ExampleReader implements AutoCloseable {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private final Path path;
  private final BufferedReader reader;
  private final JsonParser array;
  private DataShape shape;
  private long number;

  private ExampleReader(Path path, DataShape shape, BufferedReader reader, boolean isArray)
      throws IOException {
    this.path = path;
    this.shape = shape;
    this.reader = reader;
    this.array = isArray ? new ObjectMapper().createParser(reader) : null;
    if (isArray) {
      array.nextToken(); // the bracket that told
    }
  }

  /**
   * Opens a file.
   *
   * @param path the file, UTF-8
   * @param shape of its examples; null: told by the first
   * @throws CheckpointException if the file cannot be read, or holds nothing
   */
  public static ExampleReader open(Path path, DataShape shape) {
    if (!Files.isRegularFile(path)) {
      throw new CheckpointException(
          path,
          Files.isDirectory(path)
              ? "data: expected a file of examples, but is a directory; name a .jsonl or .json file"
              : "data: there is no such file");
    }
    try {
      BufferedReader reader = Files.newBufferedReader(path, StandardCharsets.UTF_8);
      try {
        int first = skipBlanks(reader);
        if (first < 0) {
          throw new CheckpointException(
              path, "data: expected examples, one JSON object a line, but the file is empty");
        }
        return new ExampleReader(path, shape, reader, first == '[');
      } catch (IOException | RuntimeException e) {
        reader.close();
        throw e;
      }
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  /**
   * All examples of a file.
   *
   * @param path the file, UTF-8
   * @param shape of its examples; null: told by the first
   * @throws CheckpointException if the file cannot be read, holds nothing, or is malformed; names
   *     the line, or the number of the element
   */
  public static List<Example> readAll(Path path, DataShape shape) {
    List<Example> examples = new ArrayList<>();
    try (ExampleReader reader = open(path, shape)) {
      for (Example example = reader.next(); example != null; example = reader.next()) {
        examples.add(example);
      }
    }
    return examples;
  }

  /** The first character that is not blank, not yet read; below 0 at the end. */
  private static int skipBlanks(BufferedReader reader) throws IOException {
    while (true) {
      reader.mark(1);
      int c = reader.read();
      boolean byteOrderMark = c == '\uFEFF';
      if (c < 0 || !(Character.isWhitespace(c) || byteOrderMark)) {
        if (c >= 0) {
          reader.reset();
        }
        return c;
      }
    }
  }

  /**
   * The next example.
   *
   * @return the example; null at the end
   * @throws CheckpointException if it is malformed; names the line, or the number of the element
   */
  public Example next() {
    JsonNode object;
    try {
      object = array != null ? nextElement() : nextLine();
    } catch (JsonProcessingException e) {
      throw malformed("is not JSON: " + e.getOriginalMessage(), e);
    } catch (IOException e) {
      throw unreadable(path, e);
    }
    if (object == null) {
      if (number == 0) {
        throw new CheckpointException(path, "data: expected examples, but the list is empty");
      }
      return null;
    }
    if (!object.isObject()) {
      throw malformed("expected a JSON object, but is " + abbreviated(object.toString()), null);
    }
    try {
      return ExampleParser.parse(shapeOf(object), object);
    } catch (InvalidArgumentException e) {
      throw malformed(e.getMessage(), e);
    }
  }

  /** The shape of the file; null before the first example where it was not said. */
  public DataShape shape() {
    return shape;
  }

  private JsonNode nextElement() throws IOException {
    JsonToken token = array.nextToken();
    if (token == JsonToken.END_ARRAY) {
      if (array.nextToken() != null) {
        throw malformed("something follows the list", null);
      }
      return null;
    }
    number++;
    return array.readValueAsTree();
  }

  private JsonNode nextLine() throws IOException {
    while (true) {
      String line = reader.readLine();
      if (line == null) {
        return null;
      }
      number++;
      if (!line.isBlank()) {
        return JSON.readTree(line);
      }
    }
  }

  private DataShape shapeOf(JsonNode object) {
    List<String> fields = new ArrayList<>();
    object.fieldNames().forEachRemaining(fields::add);
    if (shape == null) {
      shape = DataShape.detect(fields);
      if (shape == null) {
        StringBuilder known = new StringBuilder();
        for (DataShape one : DataShape.values()) {
          known.append(known.length() == 0 ? "" : ", ").append(String.join("+", one.fields()));
        }
        throw new InvalidArgumentException(
            "expected the fields of a known shape (" + known + "), but the fields are " + fields);
      }
    } else if (!fields.containsAll(shape.fields())) {
      throw new InvalidArgumentException(
          "expected "
              + shape.fields()
              + " (shape "
              + shape
              + "), but the fields are "
              + fields
              + "; a file has one shape");
    }
    return shape;
  }

  private CheckpointException malformed(String message, Throwable cause) {
    return new CheckpointException(
        path, "data: " + (array != null ? "element " : "line ") + number + ": " + message, cause);
  }

  private static CheckpointException unreadable(Path path, IOException e) {
    return new CheckpointException(
        path,
        e instanceof CharacterCodingException
            ? "data: is not UTF-8; convert it"
            : "data: cannot be read: " + e.getMessage(),
        e);
  }

  private static String abbreviated(String text) {
    return text.length() > 60 ? text.substring(0, 57) + "..." : text;
  }

  @Override
  public void close() {
    try {
      reader.close();
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }
}
