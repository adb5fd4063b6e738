package org.lorakernels.huggingface;

import java.nio.file.Path;
import org.lorakernels.CheckpointException;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.safetensors.SafetensorsStore;

/** Whether a checkpoint holds its head twice: tied to the embeddings, and stored all the same. */
final class TiedHead {
  private static final String HEAD = "lm_head.weight";
  private static final String EMBEDDINGS = "model.embed_tokens.weight";
  private static final int PIECE_BYTES = 8 << 20;

  private TiedHead() {}

  /** Whether {@code name} is a head that only repeats the embeddings. */
  static boolean repeats(String name, Path directory, JsonObject config, SafetensorsStore store) {
    return name.equals(HEAD)
        && isTied(directory, config)
        && store.contains(EMBEDDINGS)
        && sameBytes(store);
  }

  private static boolean isTied(Path directory, JsonObject config) {
    try {
      return config.findBool("tie_word_embeddings").orElse(false);
    } catch (JsonException e) {
      throw new CheckpointException(directory, "config: " + e.getMessage(), e);
    }
  }

  private static boolean sameBytes(SafetensorsStore store) {
    long size = store.info(HEAD).byteSize();
    boolean same = size == store.info(EMBEDDINGS).byteSize();
    for (long from = 0; same && from < size; from += PIECE_BYTES) {
      int length = (int) Math.min(PIECE_BYTES, size - from);
      same = store.read(HEAD, from, length).equals(store.read(EMBEDDINGS, from, length));
    }
    return same;
  }
}
