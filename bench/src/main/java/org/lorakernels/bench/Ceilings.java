package org.lorakernels.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;

/** What the machine can do at most with all threads, as native/bench/ceilings.cpp measured it. */
final class Ceilings {
  private final JsonObject measured;

  private Ceilings(JsonObject measured) {
    this.measured = measured;
  }

  /** Runs the tool. */
  static Ceilings measure(String executable) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(executable).redirectErrorStream(true).start();
    byte[] output = process.getInputStream().readAllBytes();
    int code = process.waitFor();
    if (code != 0) {
      throw new IOException(
          executable + " ended with " + code + ": " + new String(output, StandardCharsets.UTF_8));
    }
    return new Ceilings(JsonReader.parseObject(output));
  }

  /** The better of two measurements, figure by figure. */
  Ceilings or(Ceilings other) {
    JsonObject best = new JsonObject();
    for (String name : measured.names()) {
      if (name.equals("threads")) {
        best.put(name, measured.integer(name));
        continue;
      }
      JsonObject figure = new JsonObject();
      for (String threads : new String[] {"one", "all"}) {
        figure.put(
            threads,
            Math.max(
                measured.object(name).number(threads),
                other.measured.object(name).number(threads)));
      }
      best.put(name, figure);
    }
    return new Ceilings(best);
  }

  /**
   * The least time for some work, in microseconds.
   *
   * @param kernels the kernel table: which multiply-add counts
   * @param bf16 whether the BF16 dot product may be used
   */
  double limitMicros(Work work, String kernels, boolean bf16) {
    String flop = kernels.equals("avx512bf16") && !bf16 ? "avx512" : kernels;
    // copying counts both directions and is what a mix of reads and writes can reach; reading alone
    // may be faster
    double bandwidth = Math.max(all("read_gb_s"), all("copy_gb_s"));
    return Math.max(work.bytes() / bandwidth, work.flop() / all(flop + "_gflop_s")) / 1e3;
  }

  private double all(String name) {
    // a machine whose neighbours are busy may give less to all threads than to one
    JsonObject figure = measured.object(name);
    return Math.max(figure.number("one"), figure.number("all"));
  }

  JsonObject json() {
    return measured;
  }
}
