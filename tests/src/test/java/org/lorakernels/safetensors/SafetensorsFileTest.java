package org.lorakernels.safetensors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.oracle.Failures.fails;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.oracle.ChildJvm;

/** What is read from a safetensors file, and every way in which one can be wrong. */
class SafetensorsFileTest {
  private static final Path LLAMA = CraftedFile.resource("golden/models/llama/model.safetensors");

  @TempDir Path directory;

  private Path crafted(String header, int dataBytes) throws IOException {
    return CraftedFile.write(directory.resolve("crafted.safetensors"), header, dataBytes);
  }

  private static CheckpointException refused(Path path, String... parts) {
    return fails(CheckpointException.class, () -> SafetensorsFile.open(path).close(), parts);
  }

  @Test
  void readsAFileOfTheLibrary() throws IOException {
    try (SafetensorsFile file = SafetensorsFile.open(LLAMA);
        Device device = Device.cpu()) {
      assertEquals(Map.of("format", "pt"), file.metadata());
      assertEquals(21, file.names().size());
      assertEquals("lm_head.weight", file.names().get(0), "order of the file");
      TensorInfo info = file.info("model.layers.1.mlp.down_proj.weight");
      assertEquals("\"model.layers.1.mlp.down_proj.weight\" F32 [64, 128]", info.spec().toString());

      ByteBuffer raw = ByteBuffer.wrap(Files.readAllBytes(LLAMA)).order(ByteOrder.LITTLE_ENDIAN);
      int begin = (int) (8 + raw.getLong(0) + info.begin());
      float[] expected = new float[64 * 128];
      raw.position(begin).slice().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(expected);
      try (Tensor tensor = file.tensor(device, info.name())) {
        assertArrayEquals(new long[] {64, 128}, tensor.shape());
        assertArrayEquals(expected, tensor.toFloatArray());
      }
    }
  }

  @Test
  void tensorsShareTheMappingAndOutliveTheFile() {
    try (Device device = Device.cpu()) {
      SafetensorsFile file = SafetensorsFile.open(LLAMA);
      long before = device.memory().allocatedBytes();
      Tensor tensor = file.tensor(device, "lm_head.weight");
      assertEquals(before, device.memory().allocatedBytes(), "nothing is copied");
      float first = tensor.get(0, 0);
      file.close();
      assertEquals(first, tensor.get(0, 0));
      tensor.close();
    }
  }

  @Test
  void misalignedTensorsAreCopied() throws IOException {
    // A header of 73 bytes puts the data at an odd address.
    String header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    header += " ".repeat(73 - header.length());
    try (SafetensorsFile file = SafetensorsFile.open(crafted(header, 8));
        Device device = Device.cpu();
        Tensor tensor = file.tensor(device, "a")) {
      float[] expected = {Float.intBitsToFloat(0x03020100), Float.intBitsToFloat(0x07060504)};
      assertArrayEquals(expected, tensor.toFloatArray());
      assertEquals(8, device.memory().allocatedBytes(), "a copy of its own");
    }
  }

  @Test
  void readsEmptyTensorsScalarsAndEmptyFiles() throws IOException {
    String header =
        "{\"empty\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]},"
            + "\"scalar\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}";
    try (SafetensorsFile file = SafetensorsFile.open(crafted(header, 4));
        Device device = Device.cpu();
        Tensor empty = file.tensor(device, "empty");
        Tensor scalar = file.tensor(device, "scalar")) {
      assertEquals(0, empty.elementCount());
      assertArrayEquals(new long[] {0, 3}, empty.shape());
      assertEquals(1, scalar.elementCount());
      assertEquals(DType.I32, scalar.dtype());
    }
    try (SafetensorsFile file = SafetensorsFile.open(crafted("{}", 0))) {
      assertEquals(List.of(), file.names());
    }
  }

  @Test
  void listsTypesThatItDoesNotComputeWith() throws IOException {
    String header =
        "{\"ids\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
            + "\"mask\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[16,19]},"
            + "\"tiny\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[19,20]},"
            + "\"half\":{\"dtype\":\"F4\",\"shape\":[2,2],\"data_offsets\":[20,22]}}";
    try (SafetensorsFile file = SafetensorsFile.open(crafted(header, 22));
        Device device = Device.cpu()) {
      assertEquals(16, file.info("ids").byteSize());
      assertEquals(2, file.info("half").byteSize());
      for (String name : file.names()) {
        fails(
            UnsupportedException.class,
            () -> file.tensor(device, name),
            file.info(name).spec().toString());
      }
      try (Tensor bytes = file.bytes(device, "mask")) {
        assertEquals("U8 [3, 1]", bytes.toString());
        assertEquals(18, bytes.asByteBuffer().get(2));
      }
      assertEquals(ByteBuffer.wrap(new byte[] {17, 18}), file.read("mask", 1, 2));
      assertThrows(IndexOutOfBoundsException.class, () -> file.read("mask", 2, 2));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        // header | bytes of data | part of the message
        "                                                          | 0 | must start with '{'",
        "[]                                                        | 0 | must start with '{'",
        "` {}` | 0 | must start with '{'",
        "{                                                         | 0 | the header is malformed:"
            + " JSON line 1",
        "{} x                                                      | 0 | the end of the document",
        "{}                                                        | 1 | the data has 1 bytes, but"
            + " the tensors cover only 0",
        "{\"a\":1}                                                 | 0 | tensor \"a\" must be an"
            + " object, but is a number",
        "{\"a\":{}}                                                | 0 | \"dtype\": expected a"
            + " string, but is missing",
        "{\"a\":{\"dtype\":\"F32\"}}                               | 0 | \"shape\": expected an"
            + " array, but is missing",
        "{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}} | 4 | dtype \"F33\" is"
            + " unknown",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}} | 4 | data_offsets must"
            + " be [begin, end]",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}} | 4 | data_offsets must"
            + " be [begin, end]",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}} | 4 | data_offsets must"
            + " be [begin, end]",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1.5]}} | 4 | expected an"
            + " integer",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}} | 4 | takes 8 bytes, but"
            + " data_offsets give it 4",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}} | 4 | dimensions must be"
            + " at least 0",
        "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}} | 1 | must be whole bytes",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}} | 0 |"
            + " fewer than 2^63",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}"
            + " | 6 | \"b\" U8 [4] begins at byte 2 and overlaps \"a\"",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}"
            + " | 6 | leaves a hole after \"a\"",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}} | 3 | there are only 3"
            + " bytes: the file is truncated",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}} | 5 | the data has 5"
            + " bytes, but the tensors cover only 4",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":[0,9223372036854775807]}}"
            + " | 4 | fewer than 2^63",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}"
            + " | 8 | the name \"a\" occurs twice",
        "{\"__metadata__\":1}                                      | 0 | __metadata__ must be an"
            + " object, but is a number",
        "{\"__metadata__\":{\"n\":1}}                              | 0 | \"n\" must be a string,"
            + " but is a number",
      })
  void refusesHeadersThatLie(String header, int dataBytes, String message) throws IOException {
    Path path = crafted(header == null ? "" : header, dataBytes);
    CheckpointException e = refused(path, message);
    assertTrue(e.getMessage().startsWith(path.toString()), e.getMessage());
    assertTrue(e.getMessage().endsWith("download or save the file again"), e.getMessage());
    assertEquals(path, e.path());
  }

  @ParameterizedTest
  @CsvSource({
    "100000001, 'at most 100000000 bytes, but its length is given as 100000001'",
    "-1, 'its length is given as 18446744073709551615'",
    "9223372036854775807, 'its length is given as 9223372036854775807'",
    "3, 'length is given as 3 bytes, but only 2 follow'",
    "100000000, 'length is given as 100000000 bytes, but only 2 follow'",
  })
  void refusesLengthsThatLie(long length, String message) throws IOException {
    ByteBuffer file = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    file.put((byte) '{').put((byte) '}');
    Path path = Files.write(directory.resolve("length.safetensors"), file.array());
    refused(path, message);
  }

  @Test
  void refusesFilesShorterThanALength() throws IOException {
    for (int size : new int[] {0, 1, 7}) {
      Path path = Files.write(directory.resolve("short" + size), new byte[size]);
      refused(path, "but has only " + size + " bytes");
    }
  }

  @Test
  void refusesBytesThatAreNotUtf8() throws IOException {
    byte[] bytes = CraftedFile.bytes("{\"?\":1}", 0);
    bytes[10] = (byte) 0xff;
    Path path = Files.write(directory.resolve("latin1.safetensors"), bytes);
    refused(path, "expected UTF-8");
  }

  /** As large as a header may be: 100 MB, of which all but one byte are a hole in the file. */
  @Test
  void refusesAHugeHeaderWithoutMeaning() throws IOException {
    Path path = directory.resolve("huge.safetensors");
    ByteBuffer start = ByteBuffer.allocate(9).order(ByteOrder.LITTLE_ENDIAN);
    start.putLong(100_000_000).put((byte) '{');
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.write(start.array());
      file.setLength(8 + 100_000_000);
    }
    refused(path, "there is the byte 0x00");
  }

  /** 20 MB of JSON with ten million values, where Java has 64 MiB. */
  @Test
  void refusesAHeaderThatExceedsTheHeap() throws Exception {
    String header = "{\"a\":[" + "1,".repeat(10_000_000) + "1]}";
    Path path = CraftedFile.write(directory.resolve("values.safetensors"), header, 0);
    Device.availability(); // unpacks the native library, for which the process has no room
    ChildJvm.Result result =
        ChildJvm.of(Opener.class)
            .option("-Xmx64m")
            .run(directory.resolve("output.txt"), path.toString());
    assertEquals(Opener.REFUSED, result.exitCode(), result.output());
    assertTrue(result.output().contains("give Java more (-Xmx)"), result.output());
  }

  /** Opens a file. */
  static final class Opener {
    static final int REFUSED = 3;

    private Opener() {}

    public static void main(String[] arguments) {
      try {
        SafetensorsFile.open(Path.of(arguments[0])).close();
      } catch (CheckpointException refused) {
        System.out.println(refused.getMessage());
        System.exit(REFUSED);
      }
    }
  }

  @Test
  void namesTheTensorThatIsNotThere() {
    try (SafetensorsFile file = SafetensorsFile.open(LLAMA)) {
      assertFalse(file.contains("nope"));
      fails(CheckpointException.class, () -> file.info("nope"), "no tensor \"nope\" among the 21");
    }
  }

  @Test
  void namesTheFileThatIsNotThere() {
    Path path = directory.resolve("nope.safetensors");
    refused(path, "nope.safetensors");
    refused(directory);
  }
}
