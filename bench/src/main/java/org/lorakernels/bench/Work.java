package org.lorakernels.bench;

/**
 * The least that an operation must do: bytes to and from memory, each operand once, and
 * floating-point operations. The limit of a machine is the larger of bytes / bandwidth and
 * operations / rate; bench/README.md has the formulas.
 *
 * @param bytes read and written
 * @param flop multiplications and additions
 */
record Work(double bytes, double flop) {
  /** Rank of the adapters of all benchmarks. */
  static final int RANK = 16;

  /** Bytes of a double-quantised NF4 weight: 4 + 8/64 + 32/(64*256) bits an element. */
  private static double nf4(Shape s) {
    return s.n() * s.k() * (4 + 8.0 / 64 + 32.0 / (64 * 256)) / 8;
  }

  /** Work of a benchmark by its name. */
  static Work of(String operation, Shape s, long m, int elementBytes) {
    double weight = (double) s.n() * s.k();
    double activations = (double) m * (s.n() + s.k()) * elementBytes;
    double adapter = 4.0 * RANK * (s.n() + s.k());
    double lora = 2.0 * m * RANK * (s.n() + s.k());
    return switch (operation) {
      case "quantize" -> new Work(weight * elementBytes + nf4(s), 0);
      case "dequantize" -> new Work(nf4(s) + weight * elementBytes, 0);
      case "matmul", "matmulTransposed" -> new Work(nf4(s) + activations, 2 * m * weight);
      case "fusedForward", "unfusedForward" ->
          new Work(nf4(s) + activations + adapter, 2 * m * weight + lora);
      // x and dy read, dx written, A and B read, their gradients read and written
      case "fusedBackward", "unfusedBackward" ->
          new Work(
              nf4(s) + activations + (double) m * s.k() * elementBytes + 3 * adapter,
              2 * m * weight + 3 * lora);
      // F32: parameter, m and v read and written, gradient read
      case "step" -> new Work(weight * 7 * 4, 0);
      // F32: every delta read, the result written
      case "combineLinear", "combineElected" ->
          new Work(weight * (CombineBenchmark.ADAPTERS + 1) * 4, 0);
      case "keepHalf" -> new Work(weight * 2 * 4, 0);
      default -> throw new IllegalArgumentException("no work is known for " + operation);
    };
  }
}
