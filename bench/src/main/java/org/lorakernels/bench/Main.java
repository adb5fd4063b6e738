package org.lorakernels.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.lorakernels.Device;
import org.lorakernels.DeviceInfo;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonStyle;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;

/**
 * Measures ceilings, runs the benchmarks in rounds (so that what is compared is interleaved),
 * measures the ceilings again, and writes JSON and a table. Arguments are JMH's own, which override
 * the defaults; the property {@code lk.rounds} is the number of rounds, {@code lk.ceilings} names
 * the tool, {@code lk.out} the directory for results.
 */
public final class Main {
  private Main() {}

  /** Runs; see the class. */
  public static void main(String[] arguments)
      throws RunnerException, CommandLineOptionException, IOException, InterruptedException {
    String tool = System.getProperty("lk.ceilings");
    if (tool == null) {
      System.err.println("bench: start it with bench/run.sh, which names the tool for ceilings");
      System.exit(2);
    }
    Path out = Path.of(System.getProperty("lk.out", "."));
    Ceilings ceilings = Ceilings.measure(tool);
    List<RunResult> results = new ArrayList<>();
    for (int round = Integer.getInteger("lk.rounds", 2); round > 0; round--) {
      results.addAll(run(arguments));
      ceilings = ceilings.or(Ceilings.measure(tool));
    }
    DeviceInfo machine;
    try (Device device = Device.cpu()) {
      machine = device.info();
    }
    Report report = new Report(machine, ceilings, Measurement.merge(results));
    JsonObject json = report.json().put("date", Instant.now().toString());
    Files.createDirectories(out);
    Files.writeString(out.resolve("results.json"), JsonStyle.PYTHON_INDENTED.write(json) + "\n");
    String table = report.markdown();
    Files.writeString(out.resolve("results.md"), table);
    System.out.println(table);
  }

  private static Collection<RunResult> run(String[] arguments)
      throws RunnerException, CommandLineOptionException {
    ChainedOptionsBuilder options =
        new OptionsBuilder()
            .parent(new CommandLineOptions(arguments))
            .forks(1)
            .warmupIterations(1)
            .warmupTime(TimeValue.milliseconds(400))
            .measurementIterations(3)
            .measurementTime(TimeValue.milliseconds(500))
            .jvmArgsAppend("-Xmx1g")
            .shouldFailOnError(true);
    return new Runner(options.build()).run();
  }
}
