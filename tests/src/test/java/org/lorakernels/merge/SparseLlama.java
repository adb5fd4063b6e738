package org.lorakernels.merge;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.lorakernels.merge.Adapters.Shape;

/**
 * A checkpoint of zeros and adapters of it, in files that take no disk, with the proportions of
 * Llama 3 70B: heads of 128, 8 groups of keys, an MLP of 3.5 times the width.
 *
 * @param width hidden size; 8192 of 70B
 * @param layers 80 of 70B
 */
record SparseLlama(int width, int layers) {
  /** Rows of the embeddings. */
  int vocabulary() {
    return (int) (128256L * width / 8192);
  }

  /** Rows of the MLP. */
  int mlp() {
    return width * 7 / 2;
  }

  /** The projections by module. */
  Map<String, Shape> projections() {
    Map<String, Shape> all = new LinkedHashMap<>();
    int keys = width / 8;
    for (int i = 0; i < layers; i++) {
      String layer = "model.layers." + i + ".";
      all.put(layer + "self_attn.q_proj", new Shape(width, width));
      all.put(layer + "self_attn.k_proj", new Shape(keys, width));
      all.put(layer + "self_attn.v_proj", new Shape(keys, width));
      all.put(layer + "self_attn.o_proj", new Shape(width, width));
      all.put(layer + "mlp.gate_proj", new Shape(mlp(), width));
      all.put(layer + "mlp.up_proj", new Shape(mlp(), width));
      all.put(layer + "mlp.down_proj", new Shape(width, mlp()));
    }
    return all;
  }

  /** Writes the checkpoint, in BF16; returns the bytes of its tensors. */
  long write(Path directory) throws IOException {
    Map<String, Shape> tensors = new LinkedHashMap<>();
    projections().forEach((module, shape) -> tensors.put(module + ".weight", shape));
    tensors.put("model.embed_tokens.weight", new Shape(vocabulary(), width));
    tensors.put("lm_head.weight", new Shape(vocabulary(), width));
    Files.createDirectories(directory);
    Files.writeString(directory.resolve("config.json"), "{}");
    return write(directory.resolve("model.safetensors"), "BF16", 2, tensors);
  }

  /** Writes an adapter of all projections, in F32; returns the bytes of its tensors. */
  long writeAdapter(Path directory, int rank) throws IOException {
    Map<String, Shape> tensors = new LinkedHashMap<>();
    projections()
        .forEach(
            (module, shape) -> {
              String name = "base_model.model." + module;
              tensors.put(name + ".lora_A.weight", new Shape(rank, shape.cols()));
              tensors.put(name + ".lora_B.weight", new Shape(shape.rows(), rank));
            });
    Files.createDirectories(directory);
    Files.writeString(
        directory.resolve("adapter_config.json"),
        String.format(
            "{\"peft_type\": \"LORA\", \"r\": %d, \"lora_alpha\": %d, \"target_modules\": \".*_proj\"}",
            rank, rank));
    return write(directory.resolve("adapter_model.safetensors"), "F32", 4, tensors);
  }

  private static long write(Path path, String dtype, int bytes, Map<String, Shape> tensors)
      throws IOException {
    StringBuilder header = new StringBuilder("{");
    long end = 0;
    for (Map.Entry<String, Shape> tensor : tensors.entrySet()) {
      long begin = end;
      end += tensor.getValue().rows() * tensor.getValue().cols() * bytes;
      header.append(header.length() == 1 ? "" : ",");
      header.append(
          String.format(
              "\"%s\":{\"dtype\":\"%s\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]}",
              tensor.getKey(),
              dtype,
              tensor.getValue().rows(),
              tensor.getValue().cols(),
              begin,
              end));
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
}
