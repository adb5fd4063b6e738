package org.lorakernels.cli;

import java.nio.file.Path;
import java.util.List;
import org.lorakernels.training.chat.ChatTemplate;
import org.lorakernels.training.chat.Finding;
import org.lorakernels.training.chat.TemplateValidator;
import org.lorakernels.training.data.Collation;
import org.lorakernels.training.data.DataShape;
import org.lorakernels.training.data.EncodedData;
import org.lorakernels.training.data.EncodingOptions;
import org.lorakernels.training.data.ModelEncoder;
import org.lorakernels.training.data.Tokenizer;
import picocli.CommandLine.Option;

/** What is trained on, and how it becomes tokens. */
final class DataOptions {
  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description = "Examples: JSON lines or a JSON array.")
  Path data;

  @Option(names = "--eval-data", paramLabel = "FILE", description = "Examples to evaluate on.")
  Path evalData;

  @Option(
      names = "--shape",
      description = {
        "What the examples look like: ${COMPLETION-CANDIDATES}.",
        "Without it their fields tell."
      })
  DataShape shape;

  @Option(
      names = "--chat-template",
      paramLabel = "FILE",
      description = "Jinja2 in place of the model's own chat template.")
  Path chatTemplate;

  @Option(
      names = "--max-length",
      paramLabel = "TOKENS",
      defaultValue = "1024",
      description = "Longer sequences are cut, and counted (${DEFAULT-VALUE}).")
  int maxLength = 1024;

  @Option(
      names = "--packing",
      description = "Put several examples into a row of the greatest length.")
  boolean packing;

  @Option(
      names = "--padding",
      description = "Pad the examples of a batch to the longest; without it none is padded.")
  boolean padding;

  @Option(
      names = "--prompt-loss",
      description = "Train on prompts and all messages, not on responses alone.")
  boolean promptLoss;

  @Option(names = "--no-eos", description = "Do not end texts and completions with EOS.")
  boolean noEos;

  /**
   * Data as tokens.
   *
   * @param training to train on
   * @param evaluation to evaluate on; null: none
   * @param longest the most tokens of a row of either
   * @param encoder with the tokenizer and the template that were used
   */
  record Loaded(EncodedData training, EncodedData evaluation, int longest, ModelEncoder encoder)
      implements AutoCloseable {
    /** What the template does not get right; empty: nothing, or no template was used. */
    List<Finding> findings() {
      Tokenizer tokenizer = encoder.tokenizer().orElse(null);
      ChatTemplate template = encoder.template().orElse(null);
      return tokenizer == null || template == null
          ? List.of()
          : new TemplateValidator(template, tokenizer).validate();
    }

    @Override
    public void close() {
      encoder.close();
    }
  }

  /** Reads and encodes what the options name, for the model in a directory. */
  Loaded load(Path model) {
    EncodingOptions options = new EncodingOptions(maxLength, !noEos, promptLoss);
    ModelEncoder encoder = ModelEncoder.of(model, options);
    if (chatTemplate != null) {
      encoder = encoder.withTemplate(chatTemplate);
    }
    try {
      Collation collation = packing ? Collation.PACK : padding ? Collation.PAD : Collation.RAGGED;
      EncodedData training = EncodedData.read(data, shape, encoder, collation);
      EncodedData evaluation =
          evalData == null ? null : EncodedData.read(evalData, shape, encoder, collation);
      int longest = training.longestRow();
      if (evaluation != null) {
        longest = Math.max(longest, evaluation.longestRow());
      }
      return new Loaded(training, evaluation, longest, encoder);
    } catch (RuntimeException e) {
      encoder.close();
      throw e;
    }
  }
}
