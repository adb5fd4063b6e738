package org.lorakernels.safetensors;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import org.lorakernels.CheckpointException;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Tensor;

/**
 * Writes a safetensors file, byte for byte as the safetensors library does, without ever holding
 * it: the tensors are announced first, then written one at a time in any order, whole or in parts.
 *
 * <pre>{@code
 * try (SafetensorsWriter writer = SafetensorsWriter.create(path, SafetensorsWriter.PYTORCH, specs)) {
 *   writer.write("a.weight", tensor);
 *   writer.commit();
 * }
 * }</pre>
 *
 * The file appears with {@link #commit} (see {@link AtomicFile}); until then an old file of that
 * name is as it was. Not for several threads at once.
 */
public final class SafetensorsWriter implements AutoCloseable {
  /** The metadata with which PyTorch's libraries save, and without which some refuse to load. */
  public static final Map<String, String> PYTORCH = Map.of("format", "pt");

  private final AtomicFile file;
  private final SafetensorsHeader header;
  private final long dataStart;
  private final Map<String, Long> written = new HashMap<>();
  private ByteBuffer buffer; // for tensors; made with the first

  private SafetensorsWriter(AtomicFile file, SafetensorsHeader header) {
    this.file = file;
    this.header = header;
    byte[] json = header.toBytes();
    this.dataStart = SafetensorsHeader.LENGTH_BYTES + json.length;
    ByteBuffer start =
        ByteBuffer.allocate((int) dataStart)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(json.length)
            .put(json);
    file.write(start.flip(), 0);
  }

  /**
   * Starts a file.
   *
   * @param path its name, in a directory that exists
   * @param metadata text about the file, often {@link #PYTORCH}; may be empty
   * @param tensors every tensor that it will hold, in any order; names differ
   * @throws CheckpointException if it cannot be written there
   * @throws InvalidArgumentException if names repeat, or the header exceeds what readers accept
   */
  public static SafetensorsWriter create(
      Path path, Map<String, String> metadata, Collection<TensorSpec> tensors) {
    return create(metadata, tensors, () -> new AtomicFile(path));
  }

  static SafetensorsWriter create(
      Path path,
      Map<String, String> metadata,
      Collection<TensorSpec> tensors,
      AtomicFile.Opener opener) {
    return create(metadata, tensors, () -> new AtomicFile(path, opener));
  }

  private static SafetensorsWriter create(
      Map<String, String> metadata, Collection<TensorSpec> tensors, Supplier<AtomicFile> start) {
    SafetensorsHeader header = SafetensorsHeader.layout(metadata, tensors);
    AtomicFile file = start.get();
    try {
      return new SafetensorsWriter(file, header);
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  /**
   * Writes a whole file of tensors.
   *
   * @param path its name, in a directory that exists
   * @param metadata text about the file, often {@link #PYTORCH}; may be empty
   * @param tensors by name, on any device; not closed
   */
  public static void write(Path path, Map<String, String> metadata, Map<String, Tensor> tensors) {
    List<TensorSpec> specs = new ArrayList<>();
    tensors.forEach((name, tensor) -> specs.add(TensorSpec.of(name, tensor)));
    try (SafetensorsWriter writer = create(path, metadata, specs)) {
      tensors.forEach(writer::write);
      writer.commit();
    }
  }

  /**
   * Writes a tensor.
   *
   * @param name as announced
   * @param tensor of the announced element type and shape, on any device; not closed
   */
  public void write(String name, Tensor tensor) {
    TensorInfo info = info(name);
    if (!info.spec().equals(TensorSpec.of(name, tensor))) {
      throw new InvalidArgumentException(
          "safetensors: tensor "
              + info.spec()
              + " was announced, but "
              + tensor.dtype()
              + " "
              + Arrays.toString(tensor.shape())
              + " was given");
    }
    if (!tensor.isContiguous()) {
      try (Tensor contiguous = tensor.copy()) {
        write(name, contiguous);
      }
      return;
    }
    if (buffer == null) {
      buffer = ByteBuffer.allocateDirect(TensorBytes.CHUNK).order(ByteOrder.nativeOrder());
    }
    TensorBytes.forEachChunk(
        tensor,
        (part, from, length) -> {
          part.copyTo(buffer.clear().limit(length));
          write(name, from, buffer.position(0).limit(length));
        });
  }

  /**
   * Writes some bytes of a tensor.
   *
   * @param name as announced
   * @param from where they belong, counted from the tensor's first byte
   * @param bytes little-endian; all that remain are written
   */
  public void write(String name, long from, ByteBuffer bytes) {
    TensorInfo info = info(name);
    int length = bytes.remaining();
    if (from < 0 || from > info.byteSize() - length) {
      throw new InvalidArgumentException(
          "safetensors: tensor "
              + info.spec()
              + " has "
              + info.byteSize()
              + " bytes, but "
              + length
              + " were given for byte "
              + from
              + " on");
    }
    file.write(bytes, dataStart + info.begin() + from);
    written.merge(name, (long) length, Long::sum);
  }

  /** Writes all bytes of a tensor; see {@link #write(String, long, ByteBuffer)}. */
  public void write(String name, ByteBuffer bytes) {
    write(name, 0, bytes);
  }

  private TensorInfo info(String name) {
    TensorInfo info = header.tensors().get(Objects.requireNonNull(name, "name"));
    if (info == null) {
      throw new InvalidArgumentException(
          "safetensors: tensor \"" + name + "\" was not announced when the file was started");
    }
    return info;
  }

  /**
   * Gives the file its name.
   *
   * @throws InvalidArgumentException if a tensor was not written, or not wholly
   * @throws CheckpointException if the disk is full or fails; the old file is then as it was
   */
  public void commit() {
    for (TensorInfo info : header.tensors().values()) {
      long bytes = written.getOrDefault(info.name(), 0L);
      if (bytes != info.byteSize()) {
        throw new InvalidArgumentException(
            "safetensors: tensor "
                + info.spec()
                + ": "
                + info.byteSize()
                + " bytes must be written before commit, but there were "
                + bytes);
      }
    }
    file.commit();
  }

  /** Gives up the file unless it was committed; may be called again. */
  @Override
  public void close() {
    file.close();
  }
}
