package org.lorakernels.cli;

import java.util.List;
import java.util.Locale;
import org.lorakernels.Device;
import org.lorakernels.DeviceInfo;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code lk bench}: fused against unfused on this machine. */
@Command(
    name = "bench",
    description = {
      "Fused against unfused forward and backward on this machine (F32, double-quantised NF4).",
      "A quick look; bench/ measures thoroughly."
    })
final class BenchCommand extends LkCommand {
  @Option(
      names = "--shapes",
      split = ",",
      defaultValue = "4096x4096",
      description = "Weights, as ROWSxCOLUMNS (${DEFAULT-VALUE}).")
  private List<String> shapes;

  @Option(
      names = "--rows",
      split = ",",
      defaultValue = "1,16,128",
      description = "Rows of x, M (${DEFAULT-VALUE}).")
  private List<Integer> rows;

  @Option(names = "--rank", defaultValue = "16", description = "Rank (${DEFAULT-VALUE}).")
  private int rank;

  @Option(
      names = "--rounds",
      defaultValue = "7",
      description = "Interleaved rounds of each pair (${DEFAULT-VALUE}).")
  private int rounds;

  @Override
  JsonObject run(Console console) {
    if (rounds < 1) {
      throw new InvalidArgumentException("--rounds must be at least 1, but is " + rounds);
    }
    JsonArray results = new JsonArray();
    Table table =
        new Table(
            "weight",
            "M",
            "pass",
            "fused min",
            "median",
            "unfused min",
            "median",
            "ratio",
            "GFLOP/s");
    try (Device device = Device.cpu()) {
      DeviceInfo info = device.info();
      console.print(
          "%s, %s, %d threads, rank %d; ratio of medians",
          info.name(), info.kernels(), info.threads(), rank);
    }
    try (Console.Progress progress =
        console.progress("bench", (long) shapes.size() * rows.size())) {
      long done = 0;
      for (String shape : shapes) {
        long[] size = parse(shape);
        for (int m : rows) {
          FusedAgainstUnfused.Result r =
              FusedAgainstUnfused.random(size[0], size[1], m, rank, rounds);
          double flop = 2.0 * m * (size[0] * size[1] + rank * (size[0] + size[1]));
          add(table, results, shape, m, "forward", r.forward(), flop);
          // dx and the four LoRA products
          double backward = 2.0 * m * (size[0] * size[1] + 3.0 * rank * (size[0] + size[1]));
          add(table, results, shape, m, "backward", r.backward(), backward);
          progress.to(++done);
        }
      }
    }
    console.print(table);
    return new JsonObject().put("rank", rank).put("results", results);
  }

  private static void add(
      Table table, JsonArray results, String shape, int m, String pass, Timing[] t, double flop) {
    double ratio = t[1].medianNanos() / t[0].medianNanos();
    table.row(
        shape,
        Integer.toString(m),
        pass,
        Units.millis(t[0].minNanos()),
        Units.millis(t[0].medianNanos()),
        Units.millis(t[1].minNanos()),
        Units.millis(t[1].medianNanos()),
        Units.ratio(ratio),
        String.format(Locale.ROOT, "%.0f", flop / t[0].minNanos()));
    results.add(
        new JsonObject()
            .put("shape", shape)
            .put("m", m)
            .put("pass", pass)
            .put("fused", t[0].json())
            .put("unfused", t[1].json())
            .put("ratio", ratio)
            .put("fused_gflops", flop / t[0].minNanos()));
  }

  private static long[] parse(String shape) {
    String[] parts = shape.toLowerCase(Locale.ROOT).split("x", -1);
    try {
      if (parts.length == 2) {
        return new long[] {Long.parseLong(parts[0]), Long.parseLong(parts[1])};
      }
    } catch (NumberFormatException notANumber) {
      // the message below says it
    }
    throw new InvalidArgumentException(
        "--shapes must be ROWSxCOLUMNS such as 4096x4096, but is " + shape);
  }
}
