package org.lorakernels;

import java.util.List;
import org.lorakernels.bindings.global.native_kernels;

/**
 * The reductions over several tensors that {@link org.lorakernels.merge} is made of.
 *
 * <p>All tensors of a call are F32, BF16 or F16, of one shape and one device. Arithmetic is F32,
 * and results are rounded once to the dtype of {@code out}, which may be one of the inputs. Results
 * are the same bits for any number of threads and on every instruction set. Exceptions are those of
 * {@link LoraKernels}.
 */
public final class MergeKernels {
  private MergeKernels() {}

  /** How the sign of an element is elected among several tensors; a tie is positive. */
  public enum SignElection {
    /** The sign of the sum of the values. */
    TOTAL,
    /** The sign of the sum of the signs. */
    FREQUENCY
  }

  /**
   * out = Σ weights[i] * inputs[i], added in this order.
   *
   * @param inputs at least one
   * @param weights one for each input, finite
   * @param out shape of the inputs
   */
  public static void combineLinear(List<Tensor> inputs, float[] weights, Tensor out) {
    String operation = "combineLinear";
    requireInputs(operation, inputs, weights, out);
    try (Operation op =
        Operation.on(inputs.get(0).device(), operation).uses("inputs", inputs).uses("out", out)) {
      op.check(
          native_kernels.lk_combine_linear(
              op.handle(),
              Operation.descriptors(inputs),
              weights,
              inputs.size(),
              out.descriptor()));
    }
  }

  /**
   * TIES' disjoint merge (Yadav et al. 2023, arXiv:2306.01708): a sign is elected for every element
   * from the unweighted inputs; out is the weighted sum of the inputs that have it, divided by
   * their number.
   *
   * @param inputs at least one
   * @param weights one for each input, finite
   * @param election how the sign is elected
   * @param out shape of the inputs
   */
  public static void combineElected(
      List<Tensor> inputs, float[] weights, SignElection election, Tensor out) {
    String operation = "combineElected";
    requireInputs(operation, inputs, weights, out);
    try (Operation op =
        Operation.on(inputs.get(0).device(), operation).uses("inputs", inputs).uses("out", out)) {
      op.check(
          native_kernels.lk_combine_elected(
              op.handle(),
              Operation.descriptors(inputs),
              weights,
              inputs.size(),
              election.ordinal(),
              out.descriptor()));
    }
  }

  /**
   * Keeps the elements of ranks skip (inclusive) to skip + keep (exclusive) by magnitude, the
   * largest first, equal ones by their index; the others become 0.
   *
   * @param skip at least 0: how many of the largest are dropped as outliers
   * @param keep at least 0; together with skip at most the number of elements
   */
  public static void keepRanked(Tensor x, long skip, long keep, Tensor out) {
    String operation = "keepRanked";
    requireUnary(operation, x, out);
    try (Operation op = Operation.on(x.device(), operation).uses("x", x).uses("out", out)) {
      op.check(
          native_kernels.lk_keep_ranked(op.handle(), x.descriptor(), skip, keep, out.descriptor()));
    }
  }

  /**
   * DARE (Yu et al. 2023, arXiv:2311.03099): out = x / density where the counter-based generator
   * keeps an element, which it does with probability density, else 0.
   *
   * @param density in (0, 1]
   * @param seed of the mask
   * @param stream another one, another mask of the same seed
   */
  public static void keepRandom(Tensor x, float density, long seed, long stream, Tensor out) {
    keepRandom("keepRandom", x, null, density, seed, stream, out);
  }

  /**
   * DARE with a given mask: out = x / density where the mask is not 0, else 0.
   *
   * @param mask U8, shape of x, on its device
   * @param density in (0, 1]; what the mask was made for
   */
  public static void keepMasked(Tensor x, Tensor mask, float density, Tensor out) {
    Shapes.requireSame("keepMasked", "mask", mask, x);
    keepRandom("keepMasked", x, mask, density, 0, 0, out);
  }

  private static void keepRandom(
      String operation, Tensor x, Tensor mask, float density, long seed, long stream, Tensor out) {
    requireUnary(operation, x, out);
    try (Operation op =
        Operation.on(x.device(), operation).uses("x", x).uses("mask", mask).uses("out", out)) {
      op.check(
          native_kernels.lk_keep_random(
              op.handle(),
              x.descriptor(),
              Operation.descriptor(mask),
              density,
              seed,
              stream,
              out.descriptor()));
    }
  }

  /**
   * DELLA's MagPrune (Deep et al. 2024, arXiv:2406.11617): like {@link #keepRandom}, but within a
   * row the probability grows with the rank by magnitude, from density - epsilon for the smallest
   * to density + epsilon for the largest; what is kept is divided by its probability.
   *
   * @param epsilon at least 0, with density ± epsilon in (0, 1)
   */
  public static void keepByMagnitude(
      Tensor x, float density, float epsilon, long seed, long stream, Tensor out) {
    String operation = "keepByMagnitude";
    requireUnary(operation, x, out);
    try (Operation op = Operation.on(x.device(), operation).uses("x", x).uses("out", out)) {
      op.check(
          native_kernels.lk_keep_by_magnitude(
              op.handle(), x.descriptor(), density, epsilon, seed, stream, out.descriptor()));
    }
  }

  /**
   * How many elements oppose one another.
   *
   * @param opposing positive in one input and negative in another one
   * @param nonzero not 0 in at least one input
   */
  public record OpposingSigns(long opposing, long nonzero) {
    /** The counts of both. */
    public OpposingSigns plus(OpposingSigns other) {
      return new OpposingSigns(opposing + other.opposing, nonzero + other.nonzero);
    }

    /** Opposing ones among those that are not 0, in [0, 1]; 0 where there are none. */
    public double share() {
      return nonzero == 0 ? 0 : (double) opposing / nonzero;
    }
  }

  /**
   * Counts opposing signs of weights[i] * inputs[i].
   *
   * @param inputs at least one
   * @param weights one for each input, finite
   */
  public static OpposingSigns opposingSigns(List<Tensor> inputs, float[] weights) {
    String operation = "opposingSigns";
    requireInputs(operation, inputs, weights, null);
    long[] opposing = new long[1];
    long[] nonzero = new long[1];
    try (Operation op = Operation.on(inputs.get(0).device(), operation).uses("inputs", inputs)) {
      op.check(
          native_kernels.lk_opposing_signs(
              op.handle(),
              Operation.descriptors(inputs),
              weights,
              inputs.size(),
              opposing,
              nonzero));
      return new OpposingSigns(opposing[0], nonzero[0]);
    }
  }

  /** Σ a * b over all elements, in float64 and a fixed order. */
  public static double dot(Tensor a, Tensor b) {
    requireUnary("dot", a, b);
    double[] sum = new double[1];
    try (Operation op = Operation.on(a.device(), "dot").uses("a", a).uses("b", b)) {
      op.check(native_kernels.lk_dot(op.handle(), a.descriptor(), b.descriptor(), sum));
      return sum[0];
    }
  }

  private static void requireUnary(String operation, Tensor x, Tensor out) {
    Checks.requireFloat(operation, "x", x);
    Checks.requireFloat(operation, "out", out);
    Shapes.requireSame(operation, "out", out, x);
    Checks.sameDevice(operation, "out", out.device(), x.device());
  }

  private static void requireInputs(
      String operation, List<Tensor> inputs, float[] weights, Tensor out) {
    if (inputs.isEmpty() || weights.length != inputs.size()) {
      throw new InvalidArgumentException(
          operation
              + ": needs at least one input and a weight for each, but there are "
              + inputs.size()
              + " inputs and "
              + weights.length
              + " weights");
    }
    Tensor first = inputs.get(0);
    for (Tensor input : inputs) {
      Checks.requireFloat(operation, "inputs", input);
      Shapes.requireSame(operation, "inputs", input, first);
      Checks.sameDevice(operation, "inputs", input.device(), first.device());
    }
    if (out != null) {
      requireUnary(operation, first, out);
    }
  }
}
