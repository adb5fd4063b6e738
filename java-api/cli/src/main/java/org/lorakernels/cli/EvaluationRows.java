package org.lorakernels.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.training.chat.jinja.JinjaException;
import org.lorakernels.training.data.DataShape;
import org.lorakernels.training.data.EncodedExample;
import org.lorakernels.training.data.EncodingOptions;
import org.lorakernels.training.data.Example;
import org.lorakernels.training.data.ExampleEncoder;
import org.lorakernels.training.data.ExampleReader;
import org.lorakernels.training.data.ModelEncoder;
import org.lorakernels.training.data.Tokenizer;
import picocli.CommandLine.Help.Visibility;
import picocli.CommandLine.Option;

/** The rows of {@code lk eval}, and how they become tokens. */
final class EvaluationRows {
  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description = {
        "Examples as for lk train, a plain text (.txt, one row, seen through windows), or questions."
      })
  private Path data;

  @Option(
      names = "--limit",
      defaultValue = "" + Integer.MAX_VALUE,
      showDefaultValue = Visibility.NEVER,
      paramLabel = "N",
      description = "Only the first N rows.")
  private int limit;

  @Option(
      names = "--shape",
      description = {
        "What the examples look like: ${COMPLETION-CANDIDATES}.",
        "Without it their fields tell."
      })
  private DataShape shape;

  @Option(
      names = "--chat-template",
      paramLabel = "FILE",
      description = "Jinja2 in place of the model's own chat template.")
  private Path chatTemplate;

  @Option(
      names = "--prompt-loss",
      description = "Score prompts and all messages, not responses alone.")
  private boolean promptLoss;

  @Option(
      names = "--append-eos",
      description = "End texts with EOS; completions end with it in any case, as in lk train.")
  private boolean appendEos;

  /**
   * Rows as tokens.
   *
   * @param examples whole, however long
   * @param bosId what begins texts; null: nothing, or there is no tokenizer
   */
  record Encoded(List<EncodedExample> examples, Integer bosId) {}

  Path file() {
    return data;
  }

  int limit() {
    return limit;
  }

  boolean isPlainText() {
    return data.toString().endsWith(".txt");
  }

  /** Reads and encodes for the model in a directory. */
  Encoded encode(Path model) {
    List<Example> examples = new ArrayList<>();
    DataShape found = isPlainText() ? plainText(examples) : read(examples);
    boolean eos = appendEos || found != DataShape.TEXT;
    // the length of sequences is for the evaluator to choose: nothing is cut here
    EncodingOptions options = new EncodingOptions(Integer.MAX_VALUE, eos, promptLoss);
    ModelEncoder source = ModelEncoder.of(model, options);
    try (ModelEncoder owner = chatTemplate == null ? source : source.withTemplate(chatTemplate)) {
      ExampleEncoder encoder = owner.open(found != DataShape.TOKENS);
      List<EncodedExample> rows = new ArrayList<>();
      for (Example example : examples) {
        rows.add(encode(encoder, example, rows.size() + 1));
      }
      return new Encoded(rows, owner.tokenizer().map(Tokenizer::bosId).orElse(null));
    }
  }

  private EncodedExample encode(ExampleEncoder encoder, Example example, int number) {
    try {
      return encoder.encode(example);
    } catch (InvalidArgumentException | JinjaException e) {
      throw new CheckpointException(data, "data: example " + number + ": " + e.getMessage(), e);
    }
  }

  private DataShape read(List<Example> into) {
    try (ExampleReader reader = ExampleReader.open(data, shape)) {
      Example example;
      while (into.size() < limit && (example = reader.next()) != null) {
        into.add(example);
      }
      return reader.shape();
    }
  }

  private DataShape plainText(List<Example> into) {
    try {
      into.add(new Example.Text(Files.readString(data)));
    } catch (IOException e) {
      throw new CheckpointException(data, "data: cannot be read: " + e, e);
    }
    return DataShape.TEXT;
  }
}
