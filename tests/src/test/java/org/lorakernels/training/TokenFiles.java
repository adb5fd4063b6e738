package org.lorakernels.training;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

/** Files of token ids for models without a tokenizer. */
public final class TokenFiles {
  private TokenFiles() {}

  /** Rows of random ids of a vocabulary, each its own labels. */
  public static Path write(Path file, int rows, int length, int vocabulary, long seed) {
    Random random = new Random(seed);
    StringBuilder text = new StringBuilder();
    for (int row = 0; row < rows; row++) {
      String ids = Arrays.toString(random.ints(length, 0, vocabulary).toArray());
      text.append("{\"input_ids\": ")
          .append(ids)
          .append(", \"labels\": ")
          .append(ids)
          .append("}\n");
    }
    try {
      return Files.writeString(file, text.toString());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
