package org.lorakernels.training.data;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The tokenizer that tests share: one token a byte (id = place in GPT-2's map of bytes), the nine
 * merges of "hello", " wor" and " the", and five special tokens.
 */
public final class TestTokenizers {
  /** Ids of the special tokens. */
  public static final int BOS = 265;

  public static final int EOS = 266;
  public static final int PAD = 267;
  public static final int IM_START = 268;
  public static final int IM_END = 269;

  private TestTokenizers() {}

  /** The directory with its files. */
  public static Path directory() {
    try {
      return Path.of(TestTokenizers.class.getResource("/tokenizers/bytes").toURI());
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }

  /** A copy of the files in {@code directory}, to be changed. */
  public static Path copyTo(Path directory) throws IOException {
    for (String name : new String[] {"tokenizer.json", "tokenizer_config.json"}) {
      Files.copy(directory().resolve(name), directory.resolve(name));
    }
    return directory;
  }

  /** The tokenizer. */
  public static Tokenizer open() {
    return Tokenizers.load(directory());
  }
}
