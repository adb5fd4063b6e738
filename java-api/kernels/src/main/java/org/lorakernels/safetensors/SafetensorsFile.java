package org.lorakernels.safetensors;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.lorakernels.Backend;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.MappedFile;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;

/**
 * A safetensors file, mapped into memory. Opening it reads the header and nothing else, and checks
 * it completely; a tensor's bytes are read when they are used. May be used by several threads.
 */
public final class SafetensorsFile implements AutoCloseable {
  private final MappedFile file;
  private final SafetensorsHeader header;
  private final long dataStart;

  /**
   * Opens a file.
   *
   * @throws CheckpointException if it cannot be read, or is not a safetensors file, or its header
   *     does not describe its data
   */
  public static SafetensorsFile open(Path path) {
    if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
      throw new UnsupportedException(
          "safetensors: the format is little-endian, but this machine is "
              + ByteOrder.nativeOrder());
    }
    MappedFile file = MappedFile.open(path);
    boolean opened = false;
    try {
      SafetensorsFile result = new SafetensorsFile(file);
      opened = true;
      return result;
    } catch (SafetensorsHeader.MalformedException e) {
      throw new CheckpointException(
          path, "safetensors: " + e.getMessage() + "; download or save the file again");
    } catch (OutOfMemoryError e) { // of the values of a header, which are garbage by now
      throw new CheckpointException(
          path,
          "safetensors: the header holds more than the Java heap of "
              + (Runtime.getRuntime().maxMemory() >> 20)
              + " MiB takes; give Java more (-Xmx), or download the file again",
          e);
    } finally {
      if (!opened) {
        file.close();
      }
    }
  }

  private SafetensorsFile(MappedFile file) throws SafetensorsHeader.MalformedException {
    this.file = file;
    int headerLength = headerLength(file);
    this.dataStart = SafetensorsHeader.LENGTH_BYTES + headerLength;
    byte[] json = new byte[headerLength];
    file.read(SafetensorsHeader.LENGTH_BYTES, headerLength).get(json);
    this.header = SafetensorsHeader.parse(json, file.size() - dataStart);
  }

  private static int headerLength(MappedFile file) throws SafetensorsHeader.MalformedException {
    if (file.size() < SafetensorsHeader.LENGTH_BYTES) {
      throw new SafetensorsHeader.MalformedException(
          "a file starts with the 8 bytes of its header's length, but has only "
              + file.size()
              + " bytes");
    }
    long length =
        file.read(0, SafetensorsHeader.LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (length < 0 || length > SafetensorsHeader.MAX_BYTES) {
      throw new SafetensorsHeader.MalformedException(
          "the header may have at most "
              + SafetensorsHeader.MAX_BYTES
              + " bytes, but its length is given as "
              + Long.toUnsignedString(length));
    }
    if (length > file.size() - SafetensorsHeader.LENGTH_BYTES) {
      throw new SafetensorsHeader.MalformedException(
          "the header's length is given as "
              + length
              + " bytes, but only "
              + (file.size() - SafetensorsHeader.LENGTH_BYTES)
              + " follow: the file is truncated");
    }
    return (int) length;
  }

  /** Where the file is. */
  public Path path() {
    return file.path();
  }

  /** The text about the file, often {@code format: pt}; read-only. */
  public Map<String, String> metadata() {
    return header.metadata();
  }

  /** The names of the tensors in the order in which they stand in the file. */
  public List<String> names() {
    return new ArrayList<>(header.tensors().keySet());
  }

  /** Whether the file has a tensor of that name. */
  public boolean contains(String name) {
    return header.tensors().containsKey(name);
  }

  /**
   * Element type, shape and place of a tensor.
   *
   * @throws CheckpointException if there is none of that name
   */
  public TensorInfo info(String name) {
    TensorInfo info = header.tensors().get(name);
    if (info == null) {
      throw new CheckpointException(
          path(),
          "safetensors: there is no tensor \""
              + name
              + "\" among the "
              + header.tensors().size()
              + " of the file");
    }
    return info;
  }

  /**
   * A tensor on {@code device}, to be closed by the caller; it may outlive this file. On the CPU it
   * shares the mapping (read-only, nothing is copied) unless its bytes are not aligned to its
   * elements, in which case, as on other devices, it is a copy.
   *
   * @throws CheckpointException if there is none of that name
   * @throws UnsupportedException if its element type is none that this library computes with
   */
  public Tensor tensor(Device device, String name) {
    TensorInfo info = info(name);
    DType dtype =
        info.dtype()
            .dtype()
            .orElseThrow(
                () ->
                    new UnsupportedException(
                        "safetensors: tensor "
                            + info.spec()
                            + " of "
                            + path()
                            + ": this library computes with "
                            + Arrays.toString(DType.values())
                            + "; convert it, or leave it where it is"));
    return load(device, info, dtype, info.shape());
  }

  /**
   * The bytes of a tensor of any element type, as a U8 tensor [bytes, 1]; otherwise like {@link
   * #tensor}.
   */
  public Tensor bytes(Device device, String name) {
    TensorInfo info = info(name);
    return load(device, info, DType.U8, info.byteSize(), 1);
  }

  private Tensor load(Device device, TensorInfo info, DType dtype, long... shape) {
    long position = dataStart + info.begin();
    if (device.backend() == Backend.CPU && info.byteSize() > 0) {
      return file.tensor(device, dtype, position, shape);
    }
    Tensor copy = Tensor.zeros(device, dtype, shape);
    try {
      TensorBytes.forEachChunk(
          copy, (part, from, length) -> part.copyFrom(file.read(position + from, length)));
      return copy;
    } catch (RuntimeException e) {
      copy.close();
      throw e;
    }
  }

  /**
   * A copy of some bytes of a tensor of any element type.
   *
   * @param name the tensor
   * @param from the first byte, counted from the tensor's first
   * @param length how many, at least 0; the range lies inside the tensor
   */
  public ByteBuffer read(String name, long from, int length) {
    TensorInfo info = info(name);
    if (from < 0 || length < 0 || from > info.byteSize() - length) {
      throw new IndexOutOfBoundsException(
          "safetensors: tensor "
              + info.spec()
              + " has "
              + info.byteSize()
              + " bytes; asked for "
              + length
              + " from "
              + from);
    }
    return file.read(dataStart + info.begin() + from, length);
  }

  /** Lets what was read leave the memory of the process; see {@link MappedFile#evict}. */
  public void evict() {
    file.evict();
  }

  /** Releases the mapping once the tensors that share it are closed; may be called again. */
  @Override
  public void close() {
    file.close();
  }
}
