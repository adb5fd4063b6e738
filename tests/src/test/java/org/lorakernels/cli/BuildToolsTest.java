package org.lorakernels.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the build says where a tool is missing, before it starts anything. */
class BuildToolsTest {
  private static final List<String> TOOLS = List.of("g++", "cmake", "make");

  /** A directory of programs that do nothing: cppbuild.sh asks only whether they exist. */
  @TempDir Path programs;

  @ParameterizedTest
  @CsvSource({"g++, g++", "cmake, cmake", "make, make"})
  void namesThePackageOfAMissingToolInOneLine(String missing, String aptPackage) throws Exception {
    install(missing);
    assertEquals(
        "1: cppbuild: " + missing + " not found: install it with: apt-get install " + aptPackage,
        tools());
  }

  @Test
  void needsNeitherMakeWithNinjaNorMore() throws Exception {
    install("make");
    Files.createSymbolicLink(programs.resolve("ninja"), Path.of("/bin/true"));
    assertEquals("0: ", tools());
  }

  private void install(String except) throws IOException {
    for (String tool : TOOLS) {
      if (!tool.equals(except)) {
        Files.createSymbolicLink(programs.resolve(tool), Path.of("/bin/true"));
      }
    }
    Files.createSymbolicLink(programs.resolve("dirname"), Path.of("/usr/bin/dirname"));
  }

  /** The exit code and all output of {@code cppbuild.sh tools}. */
  private String tools() throws IOException, InterruptedException {
    Path script = Path.of(System.getProperty("lk.home"), "cppbuild.sh");
    ProcessBuilder builder = new ProcessBuilder("/bin/bash", script.toString(), "tools");
    builder.environment().put("PATH", programs.toString());
    Process process = builder.redirectErrorStream(true).start();
    String output =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    return process.waitFor() + ": " + output;
  }
}
