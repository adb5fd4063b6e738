package org.lorakernels.huggingface;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToLongFunction;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonStyle;
import org.lorakernels.safetensors.SafetensorsStore;

/** Which file of a checkpoint holds what: items fill files in their order, and none is split. */
final class ShardPlan {
  private ShardPlan() {}

  /**
   * The items of each file, by the file's name.
   *
   * @param maxBytes of a file, unless one item alone is larger
   */
  static <T> Map<String, List<T>> assign(List<T> items, ToLongFunction<T> bytes, long maxBytes) {
    List<List<T>> shards = new ArrayList<>(List.of(new ArrayList<>()));
    long filled = 0;
    for (T item : items) {
      long size = bytes.applyAsLong(item);
      if (filled > 0 && size > maxBytes - filled) {
        shards.add(new ArrayList<>());
        filled = 0;
      }
      shards.get(shards.size() - 1).add(item);
      filled += size;
    }
    Map<String, List<T>> byFile = new LinkedHashMap<>();
    for (int i = 0; i < shards.size(); i++) {
      byFile.put(fileName(i, shards.size()), shards.get(i));
    }
    return byFile;
  }

  private static String fileName(int shard, int shards) {
    return shards == 1
        ? SafetensorsStore.SINGLE
        : String.format("model-%05d-of-%05d.safetensors", shard + 1, shards);
  }

  /** The index that transformers writes beside shards. */
  static String index(Map<String, String> fileOfTensor, long totalBytes) {
    JsonObject weightMap = new JsonObject();
    fileOfTensor.forEach(weightMap::put);
    return JsonStyle.PYTHON_INDENTED.write(
            new JsonObject()
                .put("metadata", new JsonObject().put("total_size", totalBytes))
                .put("weight_map", weightMap))
        + "\n";
  }
}
