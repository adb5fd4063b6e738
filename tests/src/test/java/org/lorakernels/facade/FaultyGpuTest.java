package org.lorakernels.facade;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lorakernels.oracle.ChildJvm;
import org.lorakernels.oracle.TestDevice;

/**
 * An emulated GPU that refuses, fails or disappears: the exception that says so, then a lost device
 * that can only be closed, and a JVM that goes on with the CPU.
 */
@Tag(TestDevice.EMULATOR)
class FaultyGpuTest {
  private static final String LOST = "DeviceLostException: ";

  @TempDir Path directory;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          launch:cudaErrorInvalidConfiguration:1 | scale: LoraKernelsException | launching a kernel
          kernel:cudaErrorIllegalAddress:1 | values: DeviceLostException | cudaErrorIllegalAddress
          copy:cudaErrorUnknown:3 | values: DeviceLostException | reported by copying memory
          devices:cudaErrorInsufficientDriver | open: BackendUnavailableException | NVIDIA driver
          launch:cudaErrorNoKernelImageForDevice | open: BackendUnavailableException | LK_CUDA_ARCHS
          """)
  void isAnException(String fault, String begin, String part) throws Exception {
    List<String> lines = run(fault);
    assertTrue(
        lines.stream().anyMatch(line -> line.startsWith(begin) && line.contains(part)),
        begin + ", " + part + ": " + lines);
    assertEquals("cpu: 2.0", lines.get(lines.size() - 1));
    int lost = lines.indexOf(lines.stream().filter(l -> l.contains(LOST)).findFirst().orElse(""));
    for (String line : lost < 0 ? List.<String>of() : lines.subList(lost, lines.size() - 2)) {
      assertTrue(line.contains(LOST), "works on a lost device: " + lines);
    }
  }

  @Test
  void memoryThatDoesNotSufficeLosesNothing() throws Exception {
    List<String> lines = run("");
    assertEquals("scale: queued", lines.get(0));
    assertEquals("values: 2.0", lines.get(1));
    assertTrue(
        lines.get(2).startsWith("huge: DeviceOutOfMemoryException")
            && lines.get(2).contains("requested 4398046511104 bytes, free "),
        lines.get(2));
    assertEquals("again: 2.0", lines.get(3));
    assertEquals("open: closed, live 0", lines.get(4));
    assertEquals("cpu: 2.0", lines.get(5));
  }

  private List<String> run(String fault) throws Exception {
    ChildJvm.Result result =
        ChildJvm.of(FaultyGpu.class)
            .option("-Djava.library.path=" + System.getProperty("lk.emulator"))
            .option("-Dorg.bytedeco.javacpp.pathsfirst=true")
            .environment("LK_EMULATOR_FAULTS", fault)
            .run(directory.resolve("output"));
    assertEquals(0, result.exitCode(), result.output());
    return result.output().lines().filter(line -> line.matches("[a-z]+: .*")).toList();
  }
}
