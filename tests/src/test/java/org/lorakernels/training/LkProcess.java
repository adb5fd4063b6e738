package org.lorakernels.training;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.lorakernels.cli.Lk;

/** The command line in a process of its own, which may be killed. */
public final class LkProcess {
  private LkProcess() {}

  /**
   * Starts a command.
   *
   * @param log gets both of its streams
   * @param jvmOptions for the machine that runs it
   * @param arguments of {@code lk}
   */
  public static Process start(Path log, List<String> jvmOptions, String... arguments) {
    return start(log, command(jvmOptions, arguments));
  }

  /**
   * Starts a command whose files may not grow beyond a limit: a write past it fails as on a full
   * disk.
   *
   * @param kibibytes of the largest file
   */
  public static Process startLimited(Path log, int kibibytes, String... arguments) {
    List<String> limited =
        new ArrayList<>(
            List.of("bash", "-c", "ulimit -f " + kibibytes + "; exec \"$@\"", "limited"));
    limited.addAll(command(List.of(), arguments));
    return start(log, limited);
  }

  private static List<String> command(List<String> jvmOptions, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // Small and started fast: most of these processes live for a second.
    command.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"));
    for (String name : new String[] {"lk.home", "org.bytedeco.javacpp.cachedir"}) {
      if (System.getProperty(name) != null) {
        command.add("-D" + name + "=" + System.getProperty(name));
      }
    }
    if (Runtime.version().feature() >= 24) {
      command.addAll(
          List.of("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"));
    }
    command.addAll(jvmOptions);
    String classPath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    command.addAll(List.of("-cp", classPath, Lk.class.getName()));
    command.addAll(List.of(arguments));
    return command;
  }

  private static Process start(Path log, List<String> command) {
    try {
      return new ProcessBuilder(command)
          .redirectErrorStream(true)
          .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
          .start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
