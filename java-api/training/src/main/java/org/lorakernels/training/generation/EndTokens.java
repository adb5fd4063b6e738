package org.lorakernels.training.generation;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.lorakernels.CheckpointException;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonNumber;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.json.JsonValue;
import org.lorakernels.training.data.Tokenizer;

/** Which tokens end a sequence of a checkpoint. */
public final class EndTokens {
  private static final String MEMBER = "eos_token_id";

  private EndTokens() {}

  /**
   * The ids of {@code eos_token_id} (one or several) in {@code generation_config.json}; where there
   * are none, those in {@code config.json}; where there are none either, the tokenizer's EOS.
   *
   * @param directory a checkpoint
   * @param tokenizer its tokenizer; may be null
   * @return ids; empty where nothing names one
   * @throws CheckpointException if a file cannot be read, or has something else in that member
   */
  public static Set<Integer> of(Path directory, Tokenizer tokenizer) {
    for (String name : new String[] {"generation_config.json", "config.json"}) {
      Set<Integer> ids = read(directory.resolve(name));
      if (!ids.isEmpty()) {
        return ids;
      }
    }
    return Optional.ofNullable(tokenizer).map(Tokenizer::eosId).map(Set::of).orElse(Set.of());
  }

  private static Set<Integer> read(Path file) {
    Set<Integer> ids = new TreeSet<>();
    if (Files.exists(file)) {
      try {
        JsonObject config = JsonReader.parseObject(Files.readAllBytes(file));
        JsonValue value = config.get(MEMBER);
        if (value instanceof JsonNumber) {
          ids.add(Math.toIntExact(config.integer(MEMBER)));
        } else if (config.findArray(MEMBER).isPresent()) {
          for (long id : config.array(MEMBER).longs()) {
            ids.add(Math.toIntExact(id));
          }
        }
      } catch (IOException | JsonException | ArithmeticException e) {
        throw new CheckpointException(file, "cannot be read: " + e.getMessage(), e);
      }
    }
    return ids;
  }
}
