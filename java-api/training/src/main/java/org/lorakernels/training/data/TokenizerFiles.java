package org.lorakernels.training.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lorakernels.CheckpointException;

/**
 * What the files of a tokenizer say.
 *
 * @param file {@code tokenizer.json}
 * @param vocabulary text of a token to its id, added tokens included
 * @param specialTokens transformers' name of a special token to its text
 * @param addBos whether BOS is put before a text; null: the post-processor of the file decides
 * @param addEos whether EOS is put after a text; null: the post-processor of the file decides
 */
record TokenizerFiles(
    Path file,
    Map<String, Integer> vocabulary,
    Map<String, String> specialTokens,
    Boolean addBos,
    Boolean addEos) {
  static final String TOKENIZER = "tokenizer.json";
  private static final List<String> CONFIGS =
      List.of("special_tokens_map.json", "tokenizer_config.json");
  private static final ObjectMapper JSON = new ObjectMapper();

  static TokenizerFiles read(Path directory) {
    Path file = directory.resolve(TOKENIZER);
    Map<String, String> specialTokens = new LinkedHashMap<>();
    Boolean addBos = null;
    Boolean addEos = null;
    for (String name : CONFIGS) { // the later one wins, as in transformers
      Path path = directory.resolve(name);
      if (Files.isRegularFile(path)) {
        JsonNode config = parse(path);
        readSpecialTokens(config, specialTokens);
        addBos = bool(config, "add_bos_token", addBos);
        addEos = bool(config, "add_eos_token", addEos);
      }
    }
    return new TokenizerFiles(file, vocabulary(file), Map.copyOf(specialTokens), addBos, addEos);
  }

  private static Map<String, Integer> vocabulary(Path file) {
    JsonNode root = parse(file);
    JsonNode vocabulary = root.path("model").path("vocab");
    Map<String, Integer> ids = new LinkedHashMap<>();
    if (vocabulary.isObject()) {
      vocabulary.properties().forEach(entry -> ids.put(entry.getKey(), entry.getValue().asInt()));
    } else if (vocabulary.isArray()) { // Unigram: [[text, score], ...]
      for (JsonNode entry : vocabulary) {
        ids.put(entry.path(0).asText(), ids.size());
      }
    } else {
      throw new CheckpointException(
          file, "tokenizer: expected model.vocab, but there is none; download the file again");
    }
    for (JsonNode token : root.path("added_tokens")) {
      ids.put(token.path("content").asText(), token.path("id").asInt());
    }
    return Map.copyOf(ids);
  }

  /** A special token is its text, or an object with it; null unsets what an earlier file said. */
  private static void readSpecialTokens(JsonNode config, Map<String, String> into) {
    for (Map.Entry<String, JsonNode> entry : config.properties()) {
      String name = entry.getKey();
      JsonNode value = entry.getValue();
      if (!name.endsWith("_token") || value.isBoolean()) {
        continue;
      }
      JsonNode text = value.isObject() ? value.path("content") : value;
      if (text.isTextual()) {
        into.put(name, text.asText());
      } else if (value.isNull()) {
        into.remove(name);
      }
    }
  }

  private static Boolean bool(JsonNode config, String name, Boolean otherwise) {
    return config.path(name).isBoolean()
        ? Boolean.valueOf(config.path(name).asBoolean())
        : otherwise;
  }

  private static JsonNode parse(Path path) {
    try {
      return JSON.readTree(path.toFile());
    } catch (IOException e) {
      throw new CheckpointException(
          path, "tokenizer: cannot be read: " + e.getMessage() + "; download the file again", e);
    }
  }
}
