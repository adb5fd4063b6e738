package org.lorakernels.safetensors;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.lorakernels.CheckpointException;

/**
 * Damaged files: whatever happens to the bytes of a good one, opening it either refuses it with a
 * {@link CheckpointException} or gives tensors that can be read to the last byte.
 */
class SafetensorsFuzzTest {
  private static final String HEADER =
      "{\"__metadata__\":{\"format\":\"pt\"},"
          + "\"model.a.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
          + "\"model.b.weight\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}";
  private static final byte[] GOOD = CraftedFile.bytes(HEADER, 32);

  private static Path path;

  @BeforeContainer
  static void makeFile() throws IOException {
    path = Files.createTempFile("fuzz", ".safetensors");
  }

  @AfterContainer
  static void removeFile() throws IOException {
    Files.delete(path);
  }

  /** One change of a file. */
  interface Mutation {
    byte[] apply(byte[] file);
  }

  @Property(tries = 3000)
  void survivesDamage(@ForAll("mutations") Mutation first, @ForAll("mutations") Mutation second)
      throws IOException {
    Files.write(path, second.apply(first.apply(GOOD)));
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      for (String name : file.names()) {
        int size = (int) file.info(name).byteSize();
        assertEquals(size, file.read(name, 0, size).remaining());
      }
    } catch (CheckpointException expected) {
      assertEquals(path, expected.path());
    }
  }

  @Property(tries = 1000)
  void survivesNumbersThatLie(@ForAll("numbers") String begin, @ForAll("numbers") String end)
      throws IOException {
    String header = HEADER.replace("[24,32]", "[" + begin + "," + end + "]");
    Files.write(path, CraftedFile.bytes(header, 32));
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      assertEquals(32, file.info("model.b.weight").end());
      assertEquals("24 32", begin + " " + end, "only the truth is accepted");
    } catch (CheckpointException expected) {
      assertEquals(path, expected.path());
    }
  }

  @Provide
  Arbitrary<String> numbers() {
    return Arbitraries.of(
        "0",
        "8",
        "24",
        "31",
        "32",
        "33",
        "-1",
        "1e3",
        "2147483648",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "null",
        "\"24\"");
  }

  @Provide
  Arbitrary<Mutation> mutations() {
    Arbitrary<Integer> place = Arbitraries.integers().between(0, GOOD.length - 1);
    Arbitrary<Byte> value = Arbitraries.bytes();
    Arbitrary<Mutation> change =
        Combinators.combine(place, value).as((at, to) -> file -> changed(file, at, to));
    Arbitrary<Mutation> text =
        Combinators.combine(place, Arbitraries.of('{', '}', '"', ',', ':', '[', ']', '0', '9', '-'))
            .as((at, to) -> file -> changed(file, at, (byte) (char) to));
    Arbitrary<Mutation> cut = place.map(at -> file -> Arrays.copyOf(file, at));
    Arbitrary<Mutation> grow =
        Arbitraries.integers()
            .between(1, 9)
            .map(more -> file -> Arrays.copyOf(file, file.length + more));
    return Arbitraries.oneOf(change, text, cut, grow);
  }

  private static byte[] changed(byte[] file, int at, byte to) {
    byte[] copy = file.clone();
    if (copy.length > 0) {
      copy[at % copy.length] = to;
    }
    return copy;
  }
}
