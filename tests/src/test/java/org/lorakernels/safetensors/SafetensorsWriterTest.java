package org.lorakernels.safetensors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.oracle.Failures.fails;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.ChildJvm;

/** Files are byte for byte the safetensors library's, and appear whole or not at all. */
class SafetensorsWriterTest {
  private static final Map<String, String> PT = SafetensorsWriter.PYTORCH;

  @TempDir Path directory;

  /**
   * Files that the library wrote (F32 alone; F32 and U8): read, and written again in another order.
   */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "golden/models/llama/model.safetensors",
        "golden/models/llama_nf4/model.safetensors",
        "golden/models/llama_nf4_dq/model.safetensors",
        "golden/models/llama/adapter/adapter_model.safetensors",
      })
  void writesTheBytesOfTheLibrary(String golden) throws IOException {
    Path original = CraftedFile.resource(golden);
    Path copy = directory.resolve("copy.safetensors");
    try (Device device = Device.cpu();
        SafetensorsFile file = SafetensorsFile.open(original)) {
      List<String> names = file.names();
      Collections.reverse(names);
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      names.forEach(name -> tensors.put(name, file.tensor(device, name)));
      SafetensorsWriter.write(copy, file.metadata(), tensors);
      tensors.values().forEach(Tensor::close);
    }
    assertArrayEquals(Files.readAllBytes(original), Files.readAllBytes(copy));
  }

  /** The order of the library's element types, which is not that of their sizes alone. */
  @Test
  void ordersTypesAsTheLibrary() throws IOException {
    Path path = directory.resolve("types.safetensors");
    List<TensorSpec> specs = new ArrayList<>();
    for (SafetensorsDtype dtype : SafetensorsDtype.values()) {
      specs.add(new TensorSpec("b" + dtype, dtype, 8));
      specs.add(new TensorSpec("a" + dtype, dtype, 0));
    }
    try (SafetensorsWriter writer = SafetensorsWriter.create(path, Map.of(), specs)) {
      for (TensorSpec spec : specs) {
        writer.write(spec.name(), ByteBuffer.allocate((int) spec.byteSize()));
      }
      writer.commit();
    }
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      List<String> dtypes =
          file.names().stream().filter(n -> n.startsWith("b")).map(n -> n.substring(1)).toList();
      assertEquals(
          List.of(
              "U64",
              "I64",
              "F64",
              "C64",
              "F32",
              "U32",
              "I32",
              "BF16",
              "F16",
              "U16",
              "I16",
              "F8_E5M2FNUZ",
              "F8_E4M3FNUZ",
              "F8_E8M0",
              "F8_E4M3",
              "F8_E5M2",
              "I8",
              "U8",
              "F6_E3M2",
              "F6_E2M3",
              "F4",
              "BOOL"),
          dtypes);
    }
  }

  /** The two files of the library's own tests. */
  @Test
  void writesEmptyFilesAsTheLibrary() throws IOException {
    Path path = directory.resolve("empty.safetensors");
    SafetensorsWriter.write(path, Map.of(), Map.of());
    assertArrayEquals(
        "\u0008\0\0\0\0\0\0\0{}      ".getBytes(StandardCharsets.ISO_8859_1),
        Files.readAllBytes(path));
    SafetensorsWriter.write(path, Map.of("framework", "pt"), Map.of());
    assertArrayEquals(
        "(\0\0\0\0\0\0\0{\"__metadata__\":{\"framework\":\"pt\"}}     "
            .getBytes(StandardCharsets.ISO_8859_1),
        Files.readAllBytes(path));
  }

  @Test
  void writesViewsAndPartsAndReplacesTheOldFile() throws IOException {
    Path path = Files.writeString(directory.resolve("a.safetensors"), "old");
    List<TensorSpec> specs =
        List.of(
            new TensorSpec("view", SafetensorsDtype.F32, 2, 2),
            new TensorSpec("parts", SafetensorsDtype.I64, 2));
    try (Device device = Device.cpu();
        Tensor matrix = Tensor.of(device, new float[] {0, 1, 2, 3, 4, 5, 6, 7, 8}, 3, 3);
        Tensor columns = matrix.columns(1, 3);
        Tensor view = columns.slice(0, 2);
        SafetensorsWriter writer = SafetensorsWriter.create(path, PT, specs)) {
      writer.write("view", view);
      writer.write("parts", 8, ByteBuffer.wrap(new byte[] {1, 2, 3, 4, 5, 6, 7, 8}));
      writer.write("parts", 0, ByteBuffer.allocate(8));
      assertEquals("old", Files.readString(path), "until it is committed");
      writer.commit();
    }
    try (Device device = Device.cpu();
        SafetensorsFile file = SafetensorsFile.open(path);
        Tensor view = file.tensor(device, "view")) {
      assertArrayEquals(new float[] {1, 2, 4, 5}, view.toFloatArray());
      assertEquals(0x0807060504030201L, Long.reverseBytes(file.read("parts", 8, 8).getLong()));
    }
    assertOnly("a.safetensors");
  }

  @Test
  void refusesWhatWasNotAnnounced() {
    Path path = directory.resolve("a.safetensors");
    List<TensorSpec> specs = List.of(new TensorSpec("a", SafetensorsDtype.F32, 2));
    try (Device device = Device.cpu();
        Tensor wrong = Tensor.zeros(device, DType.BF16, 2);
        SafetensorsWriter writer = SafetensorsWriter.create(path, PT, specs)) {
      fails(
          InvalidArgumentException.class,
          () -> writer.write("b", wrong),
          "\"b\" was not announced");
      fails(
          InvalidArgumentException.class,
          () -> writer.write("a", wrong),
          "\"a\" F32 [2] was announced, but BF16 [2] was given");
      fails(
          InvalidArgumentException.class,
          () -> writer.write("a", 5, ByteBuffer.allocate(4)),
          "has 8 bytes, but 4 were given for byte 5");
      writer.write("a", 0, ByteBuffer.allocate(4));
      fails(
          InvalidArgumentException.class,
          writer::commit,
          "8 bytes must be written before commit, but there were 4");
    }
    fails(
        InvalidArgumentException.class,
        () -> SafetensorsWriter.create(path, PT, List.of(specs.get(0), specs.get(0))),
        "names of tensors must differ");
    fails(
        InvalidArgumentException.class,
        () -> new TensorSpec("__metadata__", SafetensorsDtype.F32),
        "reserves");
    assertOnly();
  }

  /** A disk that is full after some bytes, wherever that falls: header, data, forcing it out. */
  @ParameterizedTest
  @ValueSource(ints = {0, 7, 100, 200, 1000, 4183, Integer.MAX_VALUE})
  void aFullDiskLeavesTheOldFile(int capacity) throws IOException {
    Path path = Files.writeString(directory.resolve("a.safetensors"), "old");
    IOException full = new IOException("No space left on device");
    List<TensorSpec> specs = List.of(new TensorSpec("a", SafetensorsDtype.F32, 1024));
    CheckpointException e =
        fails(
            CheckpointException.class,
            () -> {
              try (Device device = Device.cpu();
                  Tensor tensor = Tensor.zeros(device, DType.F32, 1024);
                  SafetensorsWriter writer =
                      SafetensorsWriter.create(
                          path, PT, specs, file -> new SmallDisk(file, capacity, full))) {
                writer.write("a", tensor);
                writer.commit();
              }
            },
            "No space left on device");
    assertSame(full, e.getCause());
    assertEquals(path, e.path());
    assertEquals("old", Files.readString(path));
    assertOnly("a.safetensors");
  }

  /**
   * Fails as a full disk does, once {@code capacity} bytes are written, at the latest when forced.
   */
  private static final class SmallDisk implements AtomicFile.Output {
    private final Path file;
    private final IOException full;
    private long free;

    SmallDisk(Path file, long capacity, IOException full) throws IOException {
      this.file = Files.createFile(file);
      this.free = capacity;
      this.full = full;
    }

    @Override
    public void write(ByteBuffer source, long position) throws IOException {
      free -= source.remaining();
      if (free < 0) {
        Files.writeString(file, "a part");
        throw full;
      }
      source.position(source.limit());
    }

    @Override
    public void force() throws IOException {
      throw full;
    }

    @Override
    public void close() {}
  }

  /**
   * The system itself refuses: a process that may write no file beyond 64 KiB, which a write meets
   * in the same way as the end of a disk.
   */
  @Test
  void aLimitOfTheSystemLeavesTheOldFile() throws Exception {
    Path path = Files.writeString(directory.resolve("a.safetensors"), "old");
    Device.availability(); // unpacks the native library, which the process could not
    ChildJvm.Result result =
        ChildJvm.of(LimitedWriter.class)
            .under("bash", "-c", "ulimit -f 64; exec \"$@\"", "bash")
            .run(directory.resolve("output.txt"), path.toString());
    assertEquals(LimitedWriter.REFUSED, result.exitCode(), result.output());
    assertTrue(result.output().contains("File too large"), result.output());
    assertTrue(result.output().contains("check the free space"), result.output());
    assertEquals("old", Files.readString(path));
    Files.delete(directory.resolve("output.txt"));
    assertOnly("a.safetensors");
  }

  /** Writes 1 MiB of weights to a path. */
  static final class LimitedWriter {
    static final int REFUSED = 3;

    private LimitedWriter() {}

    public static void main(String[] arguments) {
      try (Device device = Device.cpu();
          Tensor tensor = Tensor.zeros(device, DType.F32, 512, 512)) {
        SafetensorsWriter.write(Path.of(arguments[0]), PT, Map.of("a", tensor));
      } catch (CheckpointException refused) {
        System.out.println(refused.getMessage());
        System.exit(REFUSED);
      }
    }
  }

  @Test
  void refusesDirectoriesThatAreMissing() throws IOException {
    Path file = Files.createFile(directory.resolve("file"));
    for (Path path :
        List.of(directory.resolve("no/a.safetensors"), file.resolve("a.safetensors"))) {
      fails(
          CheckpointException.class,
          () -> SafetensorsWriter.write(path, PT, Map.of()),
          "must be a directory; create it first");
    }
  }

  /** As the system answers who may not write there; whoever runs the tests may be root. */
  @Test
  void refusesDirectoriesWithoutPermission() throws IOException {
    Path old = Files.writeString(directory.resolve("a.safetensors"), "old");
    AtomicFile.Opener locked =
        file -> {
          throw new AccessDeniedException(file.toString());
        };
    fails(
        CheckpointException.class,
        () -> SafetensorsWriter.create(old, PT, List.of(), locked),
        "permissions of the directory",
        directory.toString());
    assertEquals("old", Files.readString(old));
    assertOnly("a.safetensors");
  }

  /** The directory holds these names and no temporary file. */
  private void assertOnly(String... names) {
    try (Stream<Path> files = Files.list(directory)) {
      assertEquals(List.of(names), files.map(f -> f.getFileName().toString()).toList());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
