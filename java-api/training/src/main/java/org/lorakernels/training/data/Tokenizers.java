package org.lorakernels.training.data;

import java.nio.file.Files;
import java.nio.file.Path;
import org.lorakernels.CheckpointException;

/** Opens the tokenizer of a checkpoint. */
public final class Tokenizers {
  private Tokenizers() {}

  /**
   * The tokenizer of a checkpoint, from {@code tokenizer.json} and, where they exist, {@code
   * tokenizer_config.json} and {@code special_tokens_map.json}. Works offline.
   *
   * @param modelDirectory a checkpoint's directory in Hugging Face's layout
   * @return the tokenizer, to be closed by the caller
   * @throws CheckpointException if there is no {@code tokenizer.json}, or a file is malformed
   */
  public static Tokenizer load(Path modelDirectory) {
    if (!Files.isDirectory(modelDirectory)) {
      throw new CheckpointException(
          modelDirectory, "tokenizer: expected a checkpoint's directory, but there is none");
    }
    Path file = modelDirectory.resolve(TokenizerFiles.TOKENIZER);
    if (!Files.isRegularFile(file)) {
      throw new CheckpointException(
          modelDirectory,
          "tokenizer: expected "
              + TokenizerFiles.TOKENIZER
              + ", but there is none; "
              + (Files.exists(modelDirectory.resolve("tokenizer.model"))
                      || Files.exists(modelDirectory.resolve("vocab.json"))
                  ? "convert the older files in Python once, with"
                      + " AutoTokenizer.from_pretrained(directory).save_pretrained(directory)"
                  : "copy it from the checkpoint that the weights belong to, or use data of token"
                      + " ids (input_ids)"));
    }
    return new HuggingFaceTokenizer(TokenizerFiles.read(modelDirectory));
  }
}
