package org.lorakernels.cli;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import org.lorakernels.Device;
import org.lorakernels.json.JsonNull;
import org.lorakernels.json.JsonNumber;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.data.Tokenizer;
import org.lorakernels.training.evaluation.EvaluationListener;
import org.lorakernels.training.evaluation.LossEvaluator;
import org.lorakernels.training.evaluation.LossResult;
import org.lorakernels.training.evaluation.MultipleChoiceEvaluator;
import org.lorakernels.training.evaluation.MultipleChoiceResult;
import org.lorakernels.training.evaluation.Normalization;
import org.lorakernels.training.evaluation.Question;
import org.lorakernels.training.evaluation.QuestionFormat;
import org.lorakernels.training.evaluation.QuestionReader;
import org.lorakernels.training.model.CausalLm;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code lk eval}: loss and perplexity over data, or the accuracy on multiple-choice questions. */
@Command(
    name = "eval",
    sortOptions = false,
    usageHelpWidth = 100,
    description = {
      "Evaluate a model: loss and perplexity over data, or accuracy on multiple-choice questions.",
      "With --json the last line is {\"loss\": ..., \"perplexity\": ..., \"tokens\": ...} (and"
          + " truncated_rows, dropped_tokens where rows were cut), or {\"task\", \"questions\","
          + " \"acc\", \"acc_stderr\", \"acc_norm\", \"acc_norm_stderr\", ...}."
    })
final class EvalCommand extends LkCommand {
  private static final String AUTO = "auto";
  private static final String LOSS = "loss";

  @Mixin private CheckpointOptions model;

  @Mixin private EvaluationRows rows;

  @Option(
      names = "--task",
      defaultValue = AUTO,
      paramLabel = "TASK",
      description =
          "loss, or the shape of the questions: choices (query, choices, gold), hellaswag, arc,"
              + " piqa, mmlu, blimp as they were released (${DEFAULT-VALUE}: by the first row).")
  private String task;

  @Option(
      names = "--batch-size",
      defaultValue = "8",
      paramLabel = "N",
      description = "Sequences that go through the model together (${DEFAULT-VALUE}).")
  private int batchSize;

  @Option(
      names = "--max-length",
      paramLabel = "N",
      description = "The most tokens of a sequence (default: the model's context).")
  private Integer maxLength;

  @Option(
      names = "--stride",
      paramLabel = "N",
      description =
          "See longer rows through windows that advance by N tokens, each token scored once"
              + " (default: longer rows are cut, and counted).")
  private Integer stride;

  @Option(
      names = "--normalize",
      defaultValue = "tokens",
      paramLabel = "BY",
      description =
          "What acc_norm divides log-likelihoods by: tokens, characters or bytes"
              + " (${DEFAULT-VALUE}).")
  private String normalize;

  @Override
  JsonObject run(Console console) {
    Optional<QuestionFormat> format = format();
    Normalization by =
        parse(Normalization.values(), normalize)
            .orElseThrow(() -> badUsage("--normalize must be tokens, characters or bytes"));
    if (rows.limit() < 1 || batchSize < 1) {
      throw badUsage("--limit and --batch-size must be 1 or more");
    }
    return format.isPresent() ? choices(console, format.get(), by) : loss(console);
  }

  /** The shape of the questions; empty: loss. */
  private Optional<QuestionFormat> format() {
    if (task.equals(AUTO)) {
      return rows.isPlainText() ? Optional.empty() : QuestionReader.detect(rows.file());
    }
    Optional<QuestionFormat> format = parse(QuestionFormat.values(), task);
    if (format.isEmpty() && !task.equals(LOSS)) {
      String names =
          Arrays.stream(QuestionFormat.values())
              .map(QuestionFormat::toString)
              .collect(Collectors.joining(", "));
      throw badUsage("--task must be auto, loss, " + names + ", but is '" + task + "'");
    }
    return format;
  }

  private static <E extends Enum<E>> Optional<E> parse(E[] values, String name) {
    return Arrays.stream(values)
        .filter(value -> value.name().toLowerCase(Locale.ROOT).equals(name))
        .findFirst();
  }

  private JsonObject choices(Console console, QuestionFormat format, Normalization by) {
    List<Question> questions = QuestionReader.read(rows.file(), format, rows.limit());
    try (Tokenizer tokenizer = model.tokenizer();
        Device device = Device.best();
        CausalLm loaded = model.load(device);
        ProgressListener progress = new ProgressListener(console)) {
      MultipleChoiceResult result =
          new MultipleChoiceEvaluator(loaded::tokenLosses, tokenizer, maxLength(loaded))
              .batchSize(batchSize)
              .normalization(by)
              .listener(progress)
              .evaluate(questions);
      return report(console, format, result);
    }
  }

  private JsonObject report(Console console, QuestionFormat format, MultipleChoiceResult result) {
    if (result.truncated() > 0) {
      console.warn(result.truncated() + " choices were too long for the context and were cut");
    }
    console.print("%s: %d questions (%s)", rows.file(), result.answers().size(), format);
    console.print(
        new Table("", "accuracy", "standard error")
            .row("log-likelihood", share(result.accuracy()), share(result.standardError()))
            .row(
                "divided by " + normalize,
                share(result.normalizedAccuracy()),
                share(result.normalizedStandardError())));
    JsonObject json =
        new JsonObject()
            .put("task", format.toString())
            .put("questions", result.answers().size())
            .put("acc", result.accuracy());
    putFinite(json, "acc_stderr", result.standardError());
    json.put("acc_norm", result.normalizedAccuracy());
    putFinite(json, "acc_norm_stderr", result.normalizedStandardError());
    return json.put("normalized_by", normalize).put("truncated", result.truncated());
  }

  private static String share(double value) {
    return Double.isNaN(value) ? "-" : String.format(Locale.ROOT, "%.4f", value);
  }

  private static void putFinite(JsonObject json, String name, double value) {
    json.put(name, Double.isFinite(value) ? JsonNumber.of(value) : JsonNull.NULL);
  }

  private JsonObject loss(Console console) {
    EvaluationRows.Encoded encoded = rows.encode(model.directory());
    try (Device device = Device.best();
        CausalLm loaded = model.load(device);
        ProgressListener progress = new ProgressListener(console)) {
      int length = maxLength(loaded);
      LossEvaluator evaluator =
          new LossEvaluator(loaded::tokenLosses, length).batchSize(batchSize).listener(progress);
      if (stride != null || rows.isPlainText()) {
        evaluator.windows(stride != null ? stride : length - 1, encoded.bosId());
      }
      return report(console, evaluator.evaluate(encoded.examples()));
    }
  }

  private JsonObject report(Console console, LossResult result) {
    if (result.truncatedRows() > 0) {
      console.warn(
          result.truncatedRows()
              + " of "
              + result.rows()
              + " rows are longer than a sequence and were cut; "
              + result.droppedTokens()
              + " labelled tokens are not in the result (--stride keeps them)");
    }
    console.print("%s: %d tokens of %d rows", rows.file(), result.tokens(), result.rows());
    console.print("  loss        %.6f", result.loss());
    console.print("  perplexity  %.4f", result.perplexity());
    JsonObject json = new JsonObject().put("loss", result.loss());
    putFinite(json, "perplexity", result.perplexity());
    json.put("tokens", result.tokens());
    if (result.truncatedRows() > 0) {
      json.put("truncated_rows", result.truncatedRows());
      json.put("dropped_tokens", result.droppedTokens());
    }
    return json;
  }

  private int maxLength(CausalLm loaded) {
    long context = loaded.config().maxPositions();
    return (int) Math.min(context, maxLength == null ? Integer.MAX_VALUE : maxLength);
  }

  /** Shows progress once the amount of work is known. */
  private static final class ProgressListener implements EvaluationListener, AutoCloseable {
    private final Console console;
    private Console.Progress progress;

    ProgressListener(Console console) {
      this.console = console;
    }

    @Override
    public void progress(int done, int total) {
      if (progress == null) {
        progress = console.progress("evaluate", total);
      }
      progress.to(done);
    }

    @Override
    public void close() {
      if (progress != null) {
        progress.close();
      }
    }
  }
}
