package org.lorakernels.golden;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.lorakernels.DType;

/**
 * A safetensors file of golden vectors: u64 header length, JSON header, data. Written independently
 * of the product's reader, so that a defect there cannot hide here.
 *
 * <p>Files come from the test resources, or from the directory named by {@code
 * -Dlorakernels.golden=DIR} (with the same sub-directories): other vectors of the same kinds run
 * through the same tests.
 */
public final class GoldenFile {
  static final String DIRECTORY_PROPERTY = "lorakernels.golden";

  /** Vectors that were made for this repository. */
  private static final String OWN = "extra/";

  private final String path;
  private final Map<String, GoldenTensor> tensors = new LinkedHashMap<>();
  private final Object meta;

  private GoldenFile(String path, byte[] file) {
    this.path = path;
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    int headerBytes = Math.toIntExact(bytes.getLong(0));
    int dataFrom = 8 + headerBytes;
    Map<?, ?> header =
        (Map<?, ?>) GoldenJson.parse(new String(file, 8, headerBytes, StandardCharsets.UTF_8));
    header.forEach(
        (name, entry) -> {
          if (!name.equals("__metadata__"))
            tensors.put((String) name, tensor((String) name, (Map<?, ?>) entry, file, dataFrom));
        });
    Map<?, ?> metadata = (Map<?, ?>) header.get("__metadata__");
    Object text = metadata == null ? null : metadata.get("meta");
    meta = text == null ? null : GoldenJson.parse((String) text);
  }

  /**
   * @param path for example {@code "nf4/quant.safetensors"}
   */
  public static GoldenFile open(String path) {
    return new GoldenFile(path, read(path));
  }

  /** A directory of golden files, for what reads directories. */
  public static Path directory(String path) {
    String directory = otherDirectory(path);
    if (directory != null) return Path.of(directory, path);
    try {
      return Path.of(GoldenFile.class.getResource("/golden/" + path).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(path, e);
    }
  }

  static Object json(String path) {
    return GoldenJson.parse(new String(read(path), StandardCharsets.UTF_8));
  }

  /** Where other vectors are; null for those that only this repository has, or without others. */
  private static String otherDirectory(String path) {
    return path.startsWith(OWN) ? null : System.getProperty(DIRECTORY_PROPERTY);
  }

  private static byte[] read(String path) {
    String directory = otherDirectory(path);
    try {
      if (directory != null) return Files.readAllBytes(Path.of(directory, path));
      try (InputStream resource = GoldenFile.class.getResourceAsStream("/golden/" + path)) {
        if (resource == null) throw new IllegalArgumentException("no golden file " + path);
        return resource.readAllBytes();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static GoldenTensor tensor(String name, Map<?, ?> entry, byte[] file, int dataFrom) {
    long[] shape = longs(entry.get("shape"));
    long[] offsets = longs(entry.get("data_offsets"));
    byte[] data =
        Arrays.copyOfRange(
            file, Math.toIntExact(dataFrom + offsets[0]), Math.toIntExact(dataFrom + offsets[1]));
    return new GoldenTensor(name, DType.valueOf((String) entry.get("dtype")), shape, data);
  }

  private static long[] longs(Object list) {
    return ((List<?>) list).stream().mapToLong(item -> ((Double) item).longValue()).toArray();
  }

  public Set<String> names() {
    return tensors.keySet();
  }

  public boolean has(String name) {
    return tensors.containsKey(name);
  }

  public GoldenTensor get(String name) {
    GoldenTensor tensor = tensors.get(name);
    if (tensor == null) throw new IllegalArgumentException(path + " has no " + name);
    return tensor;
  }

  /** The case list; at least one case. */
  public List<GoldenCase> cases() {
    List<?> list = (List<?>) meta;
    if (list == null || list.isEmpty())
      throw new IllegalArgumentException(path + " lists no cases");
    return list.stream().map(GoldenFile::fields).map(GoldenCase::new).toList();
  }

  /** The one description of a file that holds a single case. */
  public GoldenCase description() {
    return new GoldenCase(fields(meta));
  }

  private static Map<String, Object> fields(Object object) {
    Map<String, Object> fields = new LinkedHashMap<>();
    ((Map<?, ?>) object).forEach((name, value) -> fields.put((String) name, value));
    return fields;
  }
}
