package org.lorakernels.training.memory;

import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.lorakernels.DType;
import org.lorakernels.safetensors.SafetensorsStore;

/** Element types and sizes of a checkpoint's weights, from the headers of its files. */
final class StoredWeights {
  /** A weight that is stored in 4 bits has tensors of these names beside it. */
  private static final String SCALES = ".absmax";

  private record Stored(DType dtype, long bytes, boolean quantized) {}

  private final Map<String, Stored> weights = new TreeMap<>();

  StoredWeights(Path directory) {
    try (SafetensorsStore store = SafetensorsStore.open(directory)) {
      for (String name : store.names()) {
        boolean quantized = store.contains(name + SCALES);
        DType dtype = store.info(name).dtype().dtype().orElse(DType.U8);
        weights.put(
            name, new Stored(dtype, bytesWithCompanions(store, name, quantized), quantized));
      }
    }
  }

  private static long bytesWithCompanions(SafetensorsStore store, String name, boolean quantized) {
    if (!quantized) {
      return store.info(name).byteSize();
    }
    return store.names().stream()
        .filter(other -> other.equals(name) || other.startsWith(name + "."))
        .mapToLong(other -> store.info(other).byteSize())
        .sum();
  }

  /** The type of a dense weight; F32 where the checkpoint does not have it. */
  DType dtype(String name) {
    Stored stored = weights.get(name);
    return stored == null ? DType.F32 : stored.dtype;
  }

  boolean isQuantized(String name) {
    return weights.containsKey(name) && weights.get(name).quantized;
  }

  /** Scales included where it is in 4 bits. */
  long bytes(String name) {
    return weights.containsKey(name) ? weights.get(name).bytes : 0;
  }
}
