package org.lorakernels.facade;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.Device;
import org.lorakernels.oracle.ChildJvm;

/**
 * Every way in which the native library can fail to load, each with a library that has just that
 * fault: the reason names it, every backend has it, and nothing else happens to the process.
 */
class StubLibraryTest {
  private static final String LIBRARY = "liblora_kernels.so";
  private static final String JNI = "libjninative_kernels.so";

  /** Stands before the real natives on the class path. */
  @TempDir Path classPath;

  private Path natives;

  @BeforeEach
  void takesTheRealBindings() throws IOException {
    natives = classPath.resolve("org/lorakernels/" + Loader.getPlatform());
    Files.createDirectories(natives);
    copy(JNI);
  }

  private void copy(String name) throws IOException {
    String resource = "/org/lorakernels/" + Loader.getPlatform() + "/" + name;
    try (InputStream in = Device.class.getResourceAsStream(resource)) {
      Files.copy(in, natives.resolve(name));
    }
  }

  @Test
  void theRealLibraryLoads() throws Exception {
    copy(LIBRARY);
    List<String> report = report();
    assertTrue(report.get(0).startsWith("CPU: yes: "), report.toString());
    assertTrue(report.get(2).startsWith("best: C"), report.toString());
  }

  @Test
  void aFileThatIsNoLibrary() throws Exception {
    Files.writeString(natives.resolve(LIBRARY), "this is not an ELF file\n".repeat(10));
    fails(report(), "cannot load the native library", LIBRARY, "invalid ELF header");
  }

  @Test
  void aLibraryThatLacksAFunction() throws Exception {
    compile("int lk_abi_version(void) { return 2; }\n");
    fails(report(), "cannot load the native library", "undefined symbol: lk_", "of one version");
  }

  @Test
  void aLibraryOfAnotherAbiVersion() throws Exception {
    copy(LIBRARY);
    String functions = run("nm", "-D", "--defined-only", natives.resolve(LIBRARY).toString());
    StringBuilder stub = new StringBuilder("int lk_abi_version(void) { return 99; }\n");
    for (String line : functions.lines().toList()) {
      String name = line.substring(line.lastIndexOf(' ') + 1).replaceAll("@.*", "");
      if (name.startsWith("lk_") && !name.equals("lk_abi_version")) {
        stub.append("void ").append(name).append("(void) {}\n");
      }
    }
    compile(stub.toString());
    fails(report(), "ABI version 99", "use jars of one version");
  }

  @Test
  void noLibraryForThisPlatform() throws Exception {
    List<String> report = lines(child().option("-Dorg.bytedeco.javacpp.platform=linux-none"));
    fails(report, "cannot load the native library for linux-none", "classifier linux-none");
  }

  /** Replaces the library by one of this C source. */
  private void compile(String source) throws IOException, InterruptedException {
    Path file = Files.writeString(classPath.resolve("stub.c"), source);
    Path library = natives.resolve(LIBRARY);
    Files.deleteIfExists(library);
    Path versions = Path.of(System.getProperty("lk.home"), "native/lora_kernels.map");
    run(
        "gcc",
        "-shared",
        "-Wl,-soname," + LIBRARY,
        "-Wl,--version-script=" + versions,
        "-o",
        library.toString(),
        file.toString());
  }

  private static String run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes());
    assertEquals(0, process.waitFor(), String.join(" ", command) + ": " + output);
    return output;
  }

  private ChildJvm child() {
    return ChildJvm.of(LoadReport.class).classPathFirst(classPath);
  }

  private List<String> report() throws IOException, InterruptedException {
    return lines(child());
  }

  private List<String> lines(ChildJvm jvm) throws IOException, InterruptedException {
    ChildJvm.Result result = jvm.run(classPath.resolve("output"));
    assertEquals(0, result.exitCode(), result.output());
    return result.output().lines().filter(line -> line.matches("(CPU|CUDA|best): .*")).toList();
  }

  private static void fails(List<String> report, String... parts) {
    assertEquals(3, report.size(), report.toString());
    for (String line : report) {
      assertTrue(line.startsWith("best: ") || line.contains(": no: "), line);
      for (String part : parts) {
        assertTrue(line.contains(part), '"' + part + "\" in: " + line);
      }
    }
  }
}
