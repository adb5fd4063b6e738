package org.lorakernels.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.chat.ChatTemplate;
import org.lorakernels.training.chat.Finding;
import org.lorakernels.training.chat.TemplateValidator;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.data.DataStatistics;
import org.lorakernels.training.data.EpochOrder;
import org.lorakernels.training.data.Example;
import org.lorakernels.training.data.ExampleReader;
import org.lorakernels.training.data.Tokenizer;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code lk data}: what a model would be trained on, before it is. */
@Command(
    name = "data",
    sortOptions = false,
    description = {
      "Show what a model would be trained on.",
      "Counts, what does not fit, and a batch as text, in which everything that is not trained on is",
      "dimmed (in [[brackets]] where output is no terminal)."
    })
final class DataCommand extends LkCommand {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "Directory with the tokenizer and the chat template.")
  private Path model;

  @ArgGroup(validate = false, heading = "%nData:%n")
  private DataOptions data = new DataOptions();

  @Option(
      names = "--batch-size",
      defaultValue = "2",
      description = "Rows to print as a batch; 0: none (${DEFAULT-VALUE}).")
  private int batchSize;

  @Option(
      names = "--first",
      defaultValue = "0",
      description = "Place of the first of these rows in the order (${DEFAULT-VALUE}).")
  private int first;

  @Option(
      names = "--seed",
      description = "Rows in the order of the first pass of training with this seed.")
  private Long seed;

  @Override
  JsonObject run(Console console) {
    try (DataOptions.Loaded loaded = data.load(model)) {
      DataStatistics statistics = loaded.training().statistics();
      JsonObject result = new JsonObject().put("data", data.data.toString());
      result.put("statistics", statistics(console, data.data, statistics));
      if (loaded.evaluation() != null) {
        result.put(
            "eval_statistics",
            statistics(console, data.evalData, loaded.evaluation().statistics()));
      }
      result.put("findings", findings(console, loaded));
      if (batchSize > 0) {
        result.put("batch", batch(console, loaded));
      }
      return result;
    }
  }

  private JsonObject statistics(Console console, Path file, DataStatistics s) {
    console.print(
        "%s: %d examples, %d used, in %d rows; %d tokens (%d to %d an example), %d trained on"
            + " (%.0f %%)",
        file,
        s.examples(),
        s.used(),
        s.rows(),
        s.tokens(),
        s.shortest(),
        s.longest(),
        s.labelledTokens(),
        100.0 * s.labelledTokens() / s.tokens());
    if (s.truncated() > 0) {
      console.print(
          "truncated: %d examples lost %d tokens beyond %d; --max-length raises it",
          s.truncated(), s.truncatedTokens(), data.maxLength);
    }
    if (s.unlabelled() > 0) {
      console.print("left out: %d examples with nothing to train on", s.unlabelled());
    }
    return new JsonObject()
        .put("examples", s.examples())
        .put("used", s.used())
        .put("rows", s.rows())
        .put("truncated", s.truncated())
        .put("truncated_tokens", s.truncatedTokens())
        .put("unlabelled", s.unlabelled())
        .put("tokens", s.tokens())
        .put("labelled_tokens", s.labelledTokens())
        .put("shortest", s.shortest())
        .put("longest", s.longest());
  }

  /** Of the template, and of the conversations by kind with the first of each. */
  private JsonArray findings(Console console, DataOptions.Loaded loaded) {
    JsonArray array = new JsonArray();
    for (Finding finding : loaded.findings()) {
      add(console, array, finding, "template", 1);
    }
    Tokenizer tokenizer = loaded.encoder().tokenizer().orElse(null);
    ChatTemplate template = loaded.encoder().template().orElse(null);
    if (tokenizer == null || template == null) {
      return array;
    }
    TemplateValidator validator = new TemplateValidator(template, tokenizer);
    Map<Finding.Code, List<String>> places = new EnumMap<>(Finding.Code.class);
    Map<Finding.Code, Finding> kinds = new EnumMap<>(Finding.Code.class);
    try (ExampleReader reader = ExampleReader.open(data.data, data.shape)) {
      int number = 0;
      for (Example example = reader.next(); example != null; example = reader.next()) {
        number++;
        if (example instanceof Example.Conversation conversation) {
          for (Finding f : validator.validate(conversation.messages(), conversation.tools())) {
            kinds.putIfAbsent(f.code(), f);
            places.computeIfAbsent(f.code(), code -> new ArrayList<>()).add("example " + number);
          }
        }
      }
    }
    kinds.forEach(
        (code, finding) ->
            add(console, array, finding, places.get(code).get(0), places.get(code).size()));
    return array;
  }

  private static void add(
      Console console, JsonArray array, Finding finding, String where, int count) {
    console.print(
        "%s: %s: %s%s",
        finding.severity().name().toLowerCase(Locale.ROOT),
        where,
        finding.message(),
        count > 1 ? " (and " + (count - 1) + " more like it)" : "");
    array.add(
        new JsonObject()
            .put("severity", finding.severity().name())
            .put("code", finding.code().name())
            .put("where", where)
            .put("count", count)
            .put("message", finding.message()));
  }

  private JsonObject batch(Console console, DataOptions.Loaded loaded) {
    int size = loaded.training().size();
    if (first < 0 || first >= size) {
      throw new InvalidArgumentException(
          "--first must be from 0 to " + (size - 1) + " (rows), but is " + first);
    }
    int[] order = seed == null ? IntStream.range(0, size).toArray() : EpochOrder.of(size, seed, 0);
    int[] rows = Arrays.copyOfRange(order, first, Math.min(size, first + batchSize));
    Batch batch = loaded.training().batch(rows);
    Tokenizer tokenizer = loaded.encoder().tokenizer().orElse(null);
    JsonArray sequences = new JsonArray();
    console.print("");
    console.print("%s", batch);
    for (int s = 0; s < batch.sequences(); s++) {
      List<MaskedText.Part> parts = MaskedText.parts(batch, s, tokenizer);
      console.print(
          "--- sequence %d: %d tokens%n%s",
          s,
          batch.offsets()[s + 1] - batch.offsets()[s],
          MaskedText.marked(parts, Console.isTerminal()));
      JsonArray array = new JsonArray();
      parts.forEach(
          part ->
              array.add(
                  new JsonObject()
                      .put("text", part.text())
                      .put("trained", part.trained())
                      .put("weight", part.trained() ? part.weight() : 0.0)));
      sequences.add(array);
    }
    return new JsonObject()
        .put("rows", integers(rows))
        .put("input_ids", integers(batch.inputIds()))
        .put("labels", integers(batch.labels()))
        .put("offsets", integers(batch.offsets()))
        .put("sequences", sequences);
  }

  private static JsonArray integers(int[] values) {
    return JsonArray.ofLongs(IntStream.of(values).asLongStream().toArray());
  }
}
