package org.lorakernels.merge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.Device;
import org.lorakernels.LoraConfig;
import org.lorakernels.merge.Adapters.Shape;
import org.lorakernels.peft.PeftAdapter;

/**
 * The memory of a merge does not grow with the model: of a sparse checkpoint with a 70B model's
 * proportions (Llama 3: heads of 128, 8 groups of keys, an MLP of 3.5 times the width), an eighth
 * as wide and with four layers.
 */
class MergeMemoryTest {
  private static final int WIDTH = 1024;
  private static final int MLP = 3584;
  private static final int KEYS = 128;
  private static final int VOCABULARY = 16032;
  private static final int LAYERS = 4;

  @TempDir Path directory;

  private static Map<String, Shape> layer(int index) {
    String layer = "model.layers." + index + ".";
    Map<String, Shape> weights = new LinkedHashMap<>();
    weights.put(layer + "self_attn.q_proj", new Shape(WIDTH, WIDTH));
    weights.put(layer + "self_attn.k_proj", new Shape(KEYS, WIDTH));
    weights.put(layer + "self_attn.v_proj", new Shape(KEYS, WIDTH));
    weights.put(layer + "self_attn.o_proj", new Shape(WIDTH, WIDTH));
    weights.put(layer + "mlp.gate_proj", new Shape(MLP, WIDTH));
    weights.put(layer + "mlp.up_proj", new Shape(MLP, WIDTH));
    weights.put(layer + "mlp.down_proj", new Shape(WIDTH, MLP));
    return weights;
  }

  /** A safetensors file of zeros that takes no disk; returns the bytes of its tensors. */
  private static long writeSparse(Path path, Map<String, Shape> weights) throws IOException {
    StringBuilder header = new StringBuilder("{");
    long end = 0;
    for (Map.Entry<String, Shape> weight : weights.entrySet()) {
      long begin = end;
      end += weight.getValue().rows() * weight.getValue().cols() * 2;
      header.append(header.length() == 1 ? "" : ",");
      header.append(
          String.format(
              "\"%s.weight\":{\"dtype\":\"BF16\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]}",
              weight.getKey(), weight.getValue().rows(), weight.getValue().cols(), begin, end));
    }
    header.append("}");
    while (header.length() % 8 != 0) header.append(' ');
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
      file.write(length.putLong(json.length).array());
      file.write(json);
      file.setLength(8 + json.length + end);
    }
    return end;
  }

  /** Pages of mapped files that are in the memory of this process. */
  private static long residentFileBytes() {
    try {
      return Files.readAllLines(Path.of("/proc/self/status")).stream()
          .filter(line -> line.startsWith("RssFile:"))
          .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024)
          .findFirst()
          .orElseThrow();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @Test
  void memoryIsThatOfOneWeight() throws IOException {
    Map<String, Shape> projections = new LinkedHashMap<>();
    for (int i = 0; i < LAYERS; i++) projections.putAll(layer(i));
    Map<String, Shape> all = new LinkedHashMap<>(projections);
    all.put("model.embed_tokens", new Shape(VOCABULARY, WIDTH));
    all.put("lm_head", new Shape(VOCABULARY, WIDTH));
    Path model = Files.createDirectories(directory.resolve("model"));
    Files.writeString(model.resolve("config.json"), "{}");
    long modelBytes = writeSparse(model.resolve("model.safetensors"), all);
    try (Device device = Device.cpu()) {
      Path one = directory.resolve("one");
      Path two = directory.resolve("two");
      Adapters.write(device, one, projections, LoraConfig.rank(8), 1);
      Adapters.write(device, two, projections, LoraConfig.rank(8), 2);
      try (PeftAdapter a = PeftAdapter.load(device, one);
          PeftAdapter b = PeftAdapter.load(device, two)) {
        long before = device.memory().allocatedBytes();
        long mappedBefore = residentFileBytes();
        long[] mapped = new long[1];
        MergeReport report =
            CheckpointMerger.of(model)
                .adapters(
                    List.of(new WeightedAdapter(a, 1), new WeightedAdapter(b, 1)),
                    CombineConfig.of(CombineMethod.TIES).density(0.5))
                .maxShardBytes(40_000_000)
                .progress(
                    (done, total, tensor) ->
                        mapped[0] = Math.max(mapped[0], residentFileBytes() - mappedBefore))
                .merge(device, directory.resolve("out"));
        assertEquals(projections.size(), report.changed().size());
        assertEquals(modelBytes, report.resultBytes());
        long largest = 2L * MLP * WIDTH;
        // beside the merged weight: the combined adapter and its pruned parts, in F32
        long factors = 4L * 8 * (MLP + WIDTH) * (2 + 1);
        long taken = device.memory().allocatedPeakBytes() - before;
        assertTrue(
            taken <= largest + factors,
            "allocated " + taken + " for weights of at most " + largest + " and " + factors);
        assertTrue(taken * 10 < modelBytes, "far less than the model's " + modelBytes);
        // what a closed weight has read of the mapped model does not stay; classes may be loaded
        long embeddings = 2L * VOCABULARY * WIDTH;
        assertTrue(
            mapped[0] < 2 * embeddings,
            mapped[0] + " bytes of files stay in memory, of the model's " + modelBytes);
      }
    }
  }
}
