package org.lorakernels.oracle;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * A program of the tests in a JVM of its own: with their class path, Java, and named properties.
 */
public final class ChildJvm {
  private final Class<?> program;
  private final List<String> prefix = new ArrayList<>();
  private final List<String> options = new ArrayList<>();
  private final Map<String, String> environment = new HashMap<>();
  private String classPath = System.getProperty("java.class.path");

  private ChildJvm(Class<?> program) {
    this.program = program;
    property("org.bytedeco.javacpp.cachedir");
  }

  /** How a program ended, and all that it printed. */
  public record Result(int exitCode, String output) {}

  public static ChildJvm of(Class<?> program) {
    return new ChildJvm(program);
  }

  /** Hands on a system property of this JVM, if it is set. */
  public ChildJvm property(String name) {
    String value = System.getProperty(name);
    return value == null ? this : option("-D" + name + "=" + value);
  }

  /** Adds an option of Java, such as {@code -Xmx64m}. */
  public ChildJvm option(String option) {
    options.add(option);
    return this;
  }

  /** What it has is found before what the tests' class path has. */
  public ChildJvm classPathFirst(Path directory) {
    classPath = directory + java.io.File.pathSeparator + classPath;
    return this;
  }

  public ChildJvm environment(String name, String value) {
    environment.put(name, value);
    return this;
  }

  /** Starts it by a command that takes the program's command line as its last arguments. */
  public ChildJvm under(String... command) {
    prefix.addAll(List.of(command));
    return this;
  }

  /**
   * Runs the program to its end.
   *
   * @param output a file for what it prints
   */
  public Result run(Path output, String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(prefix);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-ea");
    command.addAll(options);
    command.addAll(List.of("-cp", classPath, program.getName()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile());
    builder.environment().putAll(environment);
    Process process = builder.start();
    try {
      assertTrue(process.waitFor(5, TimeUnit.MINUTES), "still running after 5 minutes");
    } finally {
      process.destroyForcibly();
    }
    return new Result(process.exitValue(), Files.readString(output));
  }
}
