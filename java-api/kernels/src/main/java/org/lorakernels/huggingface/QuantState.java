package org.lorakernels.huggingface;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import org.lorakernels.CodeBook;
import org.lorakernels.DType;
import org.lorakernels.Nf4Format;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.json.JsonStyle;

/**
 * The JSON beside a 4-bit weight, for example {@code {"quant_type": "nf4", "blocksize": 64,
 * "dtype": "float32", "shape": [64, 128], "nested_blocksize": 256, "nested_dtype": "float32",
 * "nested_offset": 0.20655417442321777}}; the last three only where the absmax values are quantised
 * themselves.
 *
 * @param codeBook the code book
 * @param blockSize elements that share one absmax
 * @param dtype element type before quantisation
 * @param shape of the weight before quantisation
 * @param nested how the absmax values are quantised; null: they are not
 */
record QuantState(CodeBook codeBook, int blockSize, DType dtype, long[] shape, Nested nested) {

  private static final Map<DType, String> TORCH_NAMES =
      Map.of(DType.F32, "float32", DType.BF16, "bfloat16", DType.F16, "float16");

  /**
   * The second quantisation.
   *
   * @param blockSize absmax values that share one scale
   * @param offset mean of the absmax values
   */
  record Nested(int blockSize, float offset) {}

  /** PyTorch's name of a floating-point element type. */
  static String torchName(DType dtype) {
    return TORCH_NAMES.get(dtype);
  }

  /**
   * Reads the JSON.
   *
   * @throws JsonException if it is malformed, or of a type, dtype or block size that does not exist
   */
  static QuantState parse(byte[] utf8) {
    JsonObject json = JsonReader.parseObject(utf8);
    Nested nested = null;
    if (json.findNumber("nested_offset").isPresent()) {
      nested =
          new Nested(
              json.findInteger("nested_blocksize")
                  .map(Math::toIntExact)
                  .orElse(Nf4Format.NESTED_BLOCK_SIZE),
              (float) json.number("nested_offset"));
    }
    return new QuantState(
        codeBook(json.string("quant_type")),
        blockSize(json.integer("blocksize")),
        dtype(json.string("dtype")),
        shape(json.array("shape")),
        nested);
  }

  private static CodeBook codeBook(String name) {
    for (CodeBook codeBook : CodeBook.values()) {
      if (codeBook.quantType().equals(name.toLowerCase(Locale.ROOT))) {
        return codeBook;
      }
    }
    throw new JsonException("\"quant_type\": expected \"nf4\" or \"fp4\", but is \"" + name + "\"");
  }

  private static int blockSize(long size) {
    if (size < 32 || size > 4096 || Long.bitCount(size) != 1) {
      throw new JsonException(
          "\"blocksize\": expected a power of two between 32 and 4096, but is " + size);
    }
    return (int) size;
  }

  private static DType dtype(String name) {
    return TORCH_NAMES.entrySet().stream()
        .filter(entry -> entry.getValue().equals(name))
        .findFirst()
        .map(Map.Entry::getKey)
        .orElseThrow(
            () ->
                new JsonException(
                    "\"dtype\": expected float32, bfloat16 or float16, but is \"" + name + "\""));
  }

  private static long[] shape(JsonArray array) {
    long[] shape = array.longs();
    if (shape.length != 2 || shape[0] < 1 || shape[1] < 1) {
      throw new JsonException(
          "\"shape\": expected [rows, columns], each at least 1, but is " + Arrays.toString(shape));
    }
    try {
      Math.multiplyExact(shape[0], shape[1]);
    } catch (ArithmeticException e) {
      throw new JsonException(
          "\"shape\": expected fewer than 2^63 elements, but is " + Arrays.toString(shape));
    }
    return shape;
  }

  /** The number of elements of the weight. */
  long elementCount() {
    return shape[0] * shape[1];
  }

  /** The format that the weight is in. */
  Nf4Format format() {
    Nf4Format format = nested == null ? Nf4Format.plain() : Nf4Format.doubleQuantized();
    return format.withBlockSize(blockSize).withCodeBook(codeBook);
  }

  /** The JSON as bitsandbytes writes it, in UTF-8. */
  byte[] toBytes() {
    JsonObject json =
        new JsonObject()
            .put("quant_type", codeBook.quantType())
            .put("blocksize", blockSize)
            .put("dtype", torchName(dtype))
            .put("shape", JsonArray.ofLongs(shape));
    if (nested != null) {
      json.put("nested_blocksize", nested.blockSize())
          .put("nested_dtype", torchName(DType.F32))
          .put("nested_offset", (double) nested.offset());
    }
    return JsonStyle.PYTHON.write(json).getBytes(StandardCharsets.UTF_8);
  }
}
