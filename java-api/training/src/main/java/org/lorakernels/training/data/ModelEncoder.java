package org.lorakernels.training.data;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.lorakernels.training.chat.ChatTemplate;

/**
 * The tokenizer and the chat template of a checkpoint, opened when a text first needs them: data of
 * token ids can be taken without either. One thread at a time.
 */
public final class ModelEncoder implements EncodedData.EncoderSource, AutoCloseable {
  private final Path modelDirectory;
  private final Path templateFile;
  private final EncodingOptions options;
  private Tokenizer tokenizer;
  private ChatTemplate template;

  private ModelEncoder(Path modelDirectory, Path templateFile, EncodingOptions options) {
    this.modelDirectory = modelDirectory;
    this.templateFile = templateFile;
    this.options = options;
  }

  /**
   * Of a checkpoint.
   *
   * @param modelDirectory a checkpoint's directory in Hugging Face's layout
   * @param options how examples become tokens
   */
  public static ModelEncoder of(Path modelDirectory, EncodingOptions options) {
    return new ModelEncoder(modelDirectory, null, options);
  }

  /**
   * The same with a chat template in place of the checkpoint's own.
   *
   * @param file Jinja2, UTF-8
   */
  public ModelEncoder withTemplate(Path file) {
    return new ModelEncoder(modelDirectory, file, options);
  }

  @Override
  public ExampleEncoder open(boolean forText) {
    if (forText && tokenizer == null) {
      tokenizer = Tokenizers.load(modelDirectory);
      Map<String, String> special = tokenizer.specialTokens();
      template =
          templateFile != null
              ? ChatTemplate.read(templateFile, special)
              : ChatTemplate.find(modelDirectory, special).orElse(null);
    }
    return new ExampleEncoder(tokenizer, template, options);
  }

  /** The tokenizer, where a text has needed it. */
  public Optional<Tokenizer> tokenizer() {
    return Optional.ofNullable(tokenizer);
  }

  /** The chat template, where a text has needed it and there is one. */
  public Optional<ChatTemplate> template() {
    return Optional.ofNullable(template);
  }

  @Override
  public void close() {
    if (tokenizer != null) {
      tokenizer.close();
    }
  }
}
