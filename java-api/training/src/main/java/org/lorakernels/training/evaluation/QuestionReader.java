package org.lorakernels.training.evaluation;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.csv.CsvMapper;
import com.fasterxml.jackson.dataformat.csv.CsvParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;

/** Reads files of questions: JSON Lines, one JSON array, or MMLU's csv. */
public final class QuestionReader {
  private static final ObjectReader JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .build()
          .readerFor(JsonNode.class);
  private static final CsvMapper CSV =
      CsvMapper.builder().enable(CsvParser.Feature.WRAP_AS_ARRAY).build();
  private static final int MMLU_COLUMNS = 6;

  private QuestionReader() {}

  /** A row and where it stands, for messages. */
  private record Row(String place, JsonNode value) {}

  /**
   * The shape of a file, by its name ({@code .csv}: MMLU) or the members of its first row.
   *
   * @param file the file
   * @return the shape; empty where it is none of {@link QuestionFormat}
   * @throws CheckpointException if the file cannot be read or its first row is not JSON
   */
  public static Optional<QuestionFormat> detect(Path file) {
    if (isCsv(file)) {
      return Optional.of(QuestionFormat.MMLU);
    }
    return rows(file, 1).stream()
        .flatMap(row -> Arrays.stream(QuestionFormat.values()).filter(f -> f.matches(row.value)))
        .findFirst();
  }

  /**
   * The questions of a file.
   *
   * @param file the file, UTF-8
   * @param format its shape; null: detected
   * @param limit the most questions to read, from the beginning
   * @return one or more
   * @throws CheckpointException naming the file and the line, if a row is not JSON or not of the
   *     shape, if the shape is unknown, or there is no question
   */
  public static List<Question> read(Path file, QuestionFormat format, int limit) {
    QuestionFormat shape = format != null ? format : detect(file).orElseThrow(() -> unknown(file));
    List<Row> rows = isCsv(file) ? csv(file, limit) : rows(file, limit);
    if (shape == QuestionFormat.PIQA) {
      rows = withLabels(file, rows);
    }
    List<Question> questions = new ArrayList<>(rows.size());
    for (Row row : rows) {
      try {
        questions.add(shape.parse(row.value));
      } catch (InvalidArgumentException e) {
        throw new CheckpointException(
            file, row.place + " is no question of the shape " + shape + ": " + e.getMessage(), e);
      }
    }
    if (questions.isEmpty()) {
      throw new CheckpointException(file, "there is no question in it");
    }
    return questions;
  }

  private static boolean isCsv(Path file) {
    return file.toString().endsWith(".csv");
  }

  private static CheckpointException unknown(Path file) {
    String shapes =
        Arrays.stream(QuestionFormat.values())
            .map(format -> format + " " + format.members().stream().sorted().toList())
            .collect(Collectors.joining(", "));
    return new CheckpointException(
        file, "the first row has the members of no known shape of question: " + shapes);
  }

  private static List<Row> rows(Path file, int limit) {
    List<Row> rows = new ArrayList<>();
    try (var reader = Files.newBufferedReader(file);
        MappingIterator<JsonNode> values = JSON.readValues(reader)) {
      while (rows.size() < limit && values.hasNextValue()) {
        int line = values.getParser().currentTokenLocation().getLineNr();
        rows.add(new Row("line " + line, values.nextValue()));
      }
    } catch (JsonProcessingException e) {
      String place = "line " + e.getLocation().getLineNr();
      throw new CheckpointException(file, place + " is not JSON: " + e.getOriginalMessage(), e);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
    return rows;
  }

  private static List<Row> csv(Path file, int limit) {
    String name = file.getFileName().toString();
    String subject = name.substring(0, name.length() - 4).replaceAll("_(test|val|dev)$", "");
    List<Row> rows = new ArrayList<>();
    try (var reader = Files.newBufferedReader(file);
        var records = CSV.readerFor(String[].class).<String[]>readValues(reader)) {
      while (rows.size() < limit && records.hasNextValue()) {
        String[] cells = records.nextValue();
        String place = "record " + (rows.size() + 1);
        if (cells.length != MMLU_COLUMNS) {
          throw new CheckpointException(
              file,
              place
                  + " must have "
                  + MMLU_COLUMNS
                  + " columns (question, four choices, letter), but has "
                  + cells.length);
        }
        ObjectNode row = JsonNodeFactory.instance.objectNode();
        row.put("question", cells[0]).put("subject", subject);
        Arrays.stream(cells, 1, 5).forEach(row.putArray("choices")::add);
        rows.add(new Row(place, row.put("answer", cells[5].strip())));
      }
    } catch (IOException e) {
      throw unreadable(file, e);
    }
    return rows;
  }

  /** Rows of PIQA with the labels of the file beside it, unless they have their own. */
  private static List<Row> withLabels(Path file, List<Row> rows) {
    String name = file.getFileName().toString().replaceAll("\\.jsonl?$", "");
    Path labelFile = file.resolveSibling(name + "-labels.lst");
    if (!Files.exists(labelFile) || rows.stream().allMatch(row -> row.value.has("label"))) {
      return rows;
    }
    List<String> labels = lines(labelFile).stream().filter(line -> !line.isBlank()).toList();
    if (labels.size() < rows.size()) {
      throw new CheckpointException(
          labelFile,
          "a label for each of the rows of "
              + file
              + " was expected, but there are too few: "
              + labels.size());
    }
    List<Row> labelled = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      ObjectNode copy = rows.get(i).value.deepCopy();
      labelled.add(new Row(rows.get(i).place, copy.put("label", labels.get(i).strip())));
    }
    return labelled;
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  private static CheckpointException unreadable(Path file, IOException cause) {
    return new CheckpointException(file, "cannot be read: " + cause, cause);
  }
}
