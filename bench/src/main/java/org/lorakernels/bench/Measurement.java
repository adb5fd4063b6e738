package org.lorakernels.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.util.Statistics;

/**
 * One benchmark with one set of parameters, over all rounds.
 *
 * @param operation name of the benchmark's method
 * @param shape of the weight
 * @param m rows of x; 0 where there are none
 * @param dtype F32 or BF16
 * @param minMicros the fastest sample of all rounds
 * @param medianMicros the median of the rounds' medians
 */
record Measurement(
    String operation, String shape, long m, String dtype, double minMicros, double medianMicros) {

  /** All results of the same benchmark and parameters become one measurement. */
  static List<Measurement> merge(List<RunResult> results) {
    Map<String, List<RunResult>> groups = new TreeMap<>();
    for (RunResult result : results) {
      groups.computeIfAbsent(result.getParams().id(), id -> new ArrayList<>()).add(result);
    }
    List<Measurement> merged = new ArrayList<>();
    for (List<RunResult> group : groups.values()) {
      BenchmarkParams params = group.get(0).getParams();
      double[] medians = new double[group.size()];
      double min = Double.MAX_VALUE;
      for (int i = 0; i < medians.length; i++) {
        Statistics statistics = group.get(i).getPrimaryResult().getStatistics();
        medians[i] = statistics.getPercentile(50);
        min = Math.min(min, statistics.getMin());
      }
      java.util.Arrays.sort(medians);
      String name = params.getBenchmark();
      merged.add(
          new Measurement(
              name.substring(name.lastIndexOf('.') + 1),
              params.getParam("shape"),
              params.getParamsKeys().contains("m") ? Long.parseLong(params.getParam("m")) : 0,
              params.getParamsKeys().contains("dtype") ? params.getParam("dtype") : "F32",
              min,
              medians[medians.length / 2]));
    }
    return merged;
  }

  Work work() {
    return Work.of(operation, Shape.parse(shape), m, dtype.equals("F32") ? 4 : 2);
  }
}
