package org.lorakernels.safetensors;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;
import org.lorakernels.json.JsonString;
import org.lorakernels.json.JsonStyle;
import org.lorakernels.json.JsonValue;

/**
 * The header of a safetensors file: checked when read, laid out as the safetensors library lays it
 * out when written.
 *
 * <p>A header that passed {@link #parse} can be trusted: the tensors cover the data without holes
 * or overlaps, every size follows from its shape, and nothing lies beyond the end of the file.
 */
final class SafetensorsHeader {
  /** The member that holds text about the file; no tensor may bear its name. */
  static final String METADATA = "__metadata__";

  /** Bytes of the number before the header. */
  static final int LENGTH_BYTES = Long.BYTES;

  /** The longest header that the reference implementation reads. */
  static final long MAX_BYTES = 100_000_000;

  /** Padding of the header, so that the data starts at a multiple of it. */
  private static final int ALIGNMENT = 8;

  /** Element types with wide elements first, then names by code point. */
  private static final Comparator<TensorSpec> FILE_ORDER =
      Comparator.comparing(TensorSpec::dtype, Comparator.reverseOrder())
          .thenComparing(TensorSpec::name, JsonStyle.BY_CODE_POINT);

  private final Map<String, String> metadata;
  private final Map<String, TensorInfo> tensors;

  private SafetensorsHeader(Map<String, String> metadata, List<TensorInfo> inFileOrder) {
    this.metadata = Collections.unmodifiableMap(metadata);
    Map<String, TensorInfo> byName = new LinkedHashMap<>();
    inFileOrder.forEach(tensor -> byName.put(tensor.name(), tensor));
    this.tensors = Collections.unmodifiableMap(byName);
  }

  /** A header that a file was found not to have: why, and nothing about which file. */
  static final class MalformedException extends Exception {
    private static final long serialVersionUID = 1;

    MalformedException(String message) {
      super(message);
    }
  }

  /** The text about the file, often {@code format: pt}; read-only. */
  Map<String, String> metadata() {
    return metadata;
  }

  /** The tensors by name, in the order in which they stand in the file; read-only. */
  Map<String, TensorInfo> tensors() {
    return tensors;
  }

  /** Bytes of the data after the header. */
  long dataSize() {
    return tensors.values().stream().mapToLong(TensorInfo::end).max().orElse(0);
  }

  // ---- writing

  /**
   * The header of a file with the given tensors, in the library's order, back to back.
   *
   * @throws InvalidArgumentException if two have the same name, or they exceed 2^63 bytes
   */
  static SafetensorsHeader layout(Map<String, String> metadata, Collection<TensorSpec> specs) {
    List<TensorInfo> tensors = new ArrayList<>();
    long end = 0;
    for (TensorSpec spec : specs.stream().sorted(FILE_ORDER).toList()) {
      long begin = end;
      try {
        end = Math.addExact(begin, spec.byteSize());
      } catch (ArithmeticException e) {
        throw new InvalidArgumentException(
            "safetensors: the tensors up to " + spec + " exceed 2^63 bytes");
      }
      tensors.add(new TensorInfo(spec, begin, end));
    }
    SafetensorsHeader header = new SafetensorsHeader(new LinkedHashMap<>(metadata), tensors);
    if (header.tensors.size() < tensors.size()) {
      throw new InvalidArgumentException(
          "safetensors: names of tensors must differ, but "
              + tensors.size()
              + " tensors have only "
              + header.tensors.size()
              + " names");
    }
    return header;
  }

  /** The header's JSON, padded with blanks; without the length before it. */
  byte[] toBytes() {
    JsonObject header = new JsonObject();
    if (!metadata.isEmpty()) {
      JsonObject text = new JsonObject();
      metadata.forEach(text::put);
      header.put(METADATA, text);
    }
    for (TensorInfo tensor : tensors.values()) {
      header.put(
          tensor.name(),
          new JsonObject()
              .put("dtype", tensor.dtype().name())
              .put("shape", JsonArray.ofLongs(tensor.shape()))
              .put("data_offsets", JsonArray.ofLongs(tensor.begin(), tensor.end())));
    }
    byte[] json = JsonStyle.COMPACT.write(header).getBytes(StandardCharsets.UTF_8);
    byte[] padded = Arrays.copyOf(json, (json.length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    Arrays.fill(padded, json.length, padded.length, (byte) ' ');
    return padded;
  }

  // ---- reading

  /**
   * The header of a file.
   *
   * @param json the bytes after the length
   * @param dataSize bytes of the file after the header
   * @throws MalformedException if it is not a header, or describes other data than that
   */
  static SafetensorsHeader parse(byte[] json, long dataSize) throws MalformedException {
    if (json.length == 0 || json[0] != '{') {
      throw new MalformedException("the header must start with '{'");
    }
    Map<String, String> metadata = new LinkedHashMap<>();
    List<TensorInfo> tensors = new ArrayList<>();
    try {
      for (Map.Entry<String, JsonValue> member :
          JsonReader.parseObject(json).members().entrySet()) {
        if (member.getKey().equals(METADATA)) {
          metadata = parseMetadata(member.getValue());
        } else {
          tensors.add(parseTensor(member.getKey(), member.getValue()));
        }
      }
    } catch (JsonException e) {
      throw new MalformedException("the header is malformed: " + e.getMessage());
    }
    tensors.sort(Comparator.comparingLong(TensorInfo::begin).thenComparingLong(TensorInfo::end));
    checkCoverage(tensors, dataSize);
    return new SafetensorsHeader(metadata, tensors);
  }

  private static Map<String, String> parseMetadata(JsonValue value) throws MalformedException {
    if (!(value instanceof JsonObject object)) {
      throw new MalformedException(METADATA + " must be an object, but is " + value.kind());
    }
    Map<String, String> metadata = new LinkedHashMap<>();
    for (Map.Entry<String, JsonValue> member : object.members().entrySet()) {
      if (!(member.getValue() instanceof JsonString text)) {
        throw new MalformedException(
            METADATA
                + ": \""
                + member.getKey()
                + "\" must be a string, but is "
                + member.getValue().kind());
      }
      metadata.put(member.getKey(), text.value());
    }
    return metadata;
  }

  private static TensorInfo parseTensor(String name, JsonValue value) throws MalformedException {
    if (!(value instanceof JsonObject entry)) {
      throw new MalformedException(
          "tensor \"" + name + "\" must be an object, but is " + value.kind());
    }
    try {
      TensorSpec spec = new TensorSpec(name, parseDtype(name, entry), entry.array("shape").longs());
      long[] offsets = entry.array("data_offsets").longs();
      if (offsets.length != 2 || offsets[0] < 0 || offsets[1] < offsets[0]) {
        throw new MalformedException(
            "tensor "
                + spec
                + ": data_offsets must be [begin, end] with 0 <= begin <= end, but is "
                + Arrays.toString(offsets));
      }
      if (offsets[1] - offsets[0] != spec.byteSize()) {
        throw new MalformedException(
            "tensor "
                + spec
                + " takes "
                + spec.byteSize()
                + " bytes, but data_offsets give it "
                + (offsets[1] - offsets[0]));
      }
      return new TensorInfo(spec, offsets[0], offsets[1]);
    } catch (JsonException | InvalidArgumentException e) {
      throw new MalformedException("tensor \"" + name + "\": " + e.getMessage());
    }
  }

  private static SafetensorsDtype parseDtype(String name, JsonObject entry)
      throws MalformedException {
    String dtype = entry.string("dtype");
    return SafetensorsDtype.named(dtype)
        .orElseThrow(
            () ->
                new MalformedException(
                    "tensor \""
                        + name
                        + "\": dtype \""
                        + dtype
                        + "\" is unknown; known are "
                        + Arrays.toString(SafetensorsDtype.values())));
  }

  private static void checkCoverage(List<TensorInfo> inOrder, long dataSize)
      throws MalformedException {
    long covered = 0;
    String before = "the start of the data";
    for (TensorInfo tensor : inOrder) {
      if (tensor.begin() < covered) {
        throw new MalformedException(
            "tensor "
                + tensor.spec()
                + " begins at byte "
                + tensor.begin()
                + " and overlaps "
                + before
                + ", which ends at byte "
                + covered);
      }
      if (tensor.begin() > covered) {
        throw new MalformedException(
            "tensor "
                + tensor.spec()
                + " begins at byte "
                + tensor.begin()
                + " and leaves a hole after "
                + before
                + ", which ends at byte "
                + covered);
      }
      if (tensor.end() > dataSize) {
        throw new MalformedException(
            "tensor "
                + tensor.spec()
                + " ends at byte "
                + tensor.end()
                + " of the data, but there are only "
                + dataSize
                + " bytes: the file is truncated");
      }
      covered = tensor.end();
      before = "\"" + tensor.name() + "\"";
    }
    if (covered != dataSize) {
      throw new MalformedException(
          "the data has " + dataSize + " bytes, but the tensors cover only " + covered);
    }
  }
}
