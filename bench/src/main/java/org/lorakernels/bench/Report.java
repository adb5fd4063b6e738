package org.lorakernels.bench;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.lorakernels.DeviceInfo;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;

/** Measurements beside the limits of the machine, as JSON and as a table. */
final class Report {
  private final DeviceInfo machine;
  private final Ceilings ceilings;
  private final List<Measurement> measurements;

  Report(DeviceInfo machine, Ceilings ceilings, List<Measurement> measurements) {
    this.machine = machine;
    this.ceilings = ceilings;
    this.measurements =
        measurements.stream()
            .sorted(
                Comparator.comparing(Measurement::shape)
                    .thenComparing(Measurement::dtype)
                    .thenComparing(Measurement::m)
                    .thenComparing(Measurement::operation))
            .toList();
  }

  JsonObject json() {
    JsonArray list = new JsonArray();
    for (Measurement r : measurements) {
      JsonObject entry =
          new JsonObject()
              .put("operation", r.operation())
              .put("shape", r.shape())
              .put("m", r.m())
              .put("dtype", r.dtype())
              .put("min_us", r.minMicros())
              .put("median_us", r.medianMicros())
              .put("limit_us", limit(r))
              .put("gb_s", r.work().bytes() / r.minMicros() / 1e3)
              .put("gflop_s", r.work().flop() / r.minMicros() / 1e3);
      list.add(entry);
    }
    return new JsonObject()
        .put("machine", machine.name())
        .put("kernels", machine.kernels())
        .put("threads", machine.threads())
        .put("java", System.getProperty("java.version"))
        .put("ceilings", ceilings.json())
        .put("results", list);
  }

  String markdown() {
    StringBuilder text = new StringBuilder();
    text.append(
        String.format(
            Locale.ROOT,
            "%s, %s, %d threads, Java %s; ceilings %s%n%n",
            machine.name(),
            machine.kernels(),
            machine.threads(),
            System.getProperty("java.version"),
            ceilings.json()));
    text.append(
        "| weight | dtype | M | operation | min us | median us | GB/s | GFLOP/s | of limit | unfused / fused |\n");
    text.append("|---|---|---:|---|---:|---:|---:|---:|---:|---:|\n");
    for (Measurement r : measurements) {
      Work work = r.work();
      text.append(
          String.format(
              Locale.ROOT,
              "| %s | %s | %s | %s | %.0f | %.0f | %.1f | %.0f | %.0f %% | %s |%n",
              r.shape(),
              r.dtype(),
              r.m() == 0 ? "" : Long.toString(r.m()),
              r.operation(),
              r.minMicros(),
              r.medianMicros(),
              work.bytes() / r.minMicros() / 1e3,
              work.flop() / r.minMicros() / 1e3,
              100 * limit(r) / r.minMicros(),
              ratio(r)));
    }
    return text.toString();
  }

  private double limit(Measurement r) {
    return ceilings.limitMicros(r.work(), machine.kernels(), r.dtype().equals("BF16"));
  }

  /** Of a fused operation: median of its unfused twin over its own. */
  private String ratio(Measurement fused) {
    if (!fused.operation().startsWith("fused")) {
      return "";
    }
    String twin = "un" + fused.operation();
    return measurements.stream()
        .filter(
            r ->
                r.operation().equals(twin)
                    && r.shape().equals(fused.shape())
                    && r.m() == fused.m()
                    && r.dtype().equals(fused.dtype()))
        .findFirst()
        .map(r -> String.format(Locale.ROOT, "%.2fx", r.medianMicros() / fused.medianMicros()))
        .orElse("");
  }
}
