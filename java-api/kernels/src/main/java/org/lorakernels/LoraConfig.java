package org.lorakernels;

/**
 * Hyperparameters of a LoRA adapter (Hu et al. 2021, arXiv:2106.09685). Immutable; start from
 * {@link #rank(int)}:
 *
 * <pre>{@code LoraConfig.rank(16).alpha(32).dropout(0.05f)}</pre>
 */
public final class LoraConfig {
  /** The largest rank. */
  public static final int MAX_RANK = 256;

  private final int rank;
  private final float alpha;
  private final float dropout;
  private final boolean rsLora;
  private final DType dtype;
  private final long seed;

  private LoraConfig(int rank, float alpha, float dropout, boolean rsLora, DType dtype, long seed) {
    this.rank = rank;
    this.alpha = alpha;
    this.dropout = dropout;
    this.rsLora = rsLora;
    this.dtype = dtype;
    this.seed = seed;
  }

  /**
   * Rank r, alpha = r, no dropout, F32, seed 0.
   *
   * @param rank 1 ... 256
   */
  public static LoraConfig rank(int rank) {
    if (rank < 1 || rank > MAX_RANK) {
      throw new InvalidArgumentException(
          "LoraConfig: rank must be in 1 ... " + MAX_RANK + ", but is " + rank);
    }
    return new LoraConfig(rank, rank, 0f, false, DType.F32, 0);
  }

  /** The same with another alpha; scaling = alpha / rank. */
  public LoraConfig alpha(float newAlpha) {
    if (!Float.isFinite(newAlpha)) {
      throw new InvalidArgumentException("LoraConfig: alpha must be finite, but is " + newAlpha);
    }
    return new LoraConfig(rank, newAlpha, dropout, rsLora, dtype, seed);
  }

  /**
   * The same with another probability of dropping an element of the adapter's input in training.
   *
   * @param rate in [0, 1)
   */
  public LoraConfig dropout(float rate) {
    if (!(rate >= 0f && rate < 1f)) {
      throw new InvalidArgumentException("LoraConfig: dropout must be in [0, 1), but is " + rate);
    }
    return new LoraConfig(rank, alpha, rate, rsLora, dtype, seed);
  }

  /**
   * The same with scaling = alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732), or alpha /
   * rank.
   */
  public LoraConfig rsLora(boolean enabled) {
    return new LoraConfig(rank, alpha, dropout, enabled, dtype, seed);
  }

  /** The same with another dtype of A and B: F32, BF16 or F16. Gradients are F32 in any case. */
  public LoraConfig dtype(DType newDtype) {
    if (!newDtype.isFloat()) {
      throw new InvalidArgumentException(
          "LoraConfig: dtype must be F32, BF16 or F16, but is " + newDtype);
    }
    return new LoraConfig(rank, alpha, dropout, rsLora, newDtype, seed);
  }

  /**
   * The same with another seed, of the initial A and of the dropout masks. Give every adapter of a
   * model its own.
   */
  public LoraConfig seed(long newSeed) {
    return new LoraConfig(rank, alpha, dropout, rsLora, dtype, newSeed);
  }

  /** Rank r: rows of A, columns of B. */
  public int rank() {
    return rank;
  }

  /** Alpha, the numerator of the scaling. */
  public float alpha() {
    return alpha;
  }

  /** Probability of dropping an element of the adapter's input. */
  public float dropout() {
    return dropout;
  }

  /** Whether scaling is alpha / sqrt(rank). */
  public boolean rsLora() {
    return rsLora;
  }

  /** Dtype of A and B. */
  public DType dtype() {
    return dtype;
  }

  /** Seed of the initial A and of the dropout masks. */
  public long seed() {
    return seed;
  }

  /** What B * A is multiplied by: alpha / rank, or alpha / sqrt(rank). */
  public float scaling() {
    return rsLora ? (float) (alpha / Math.sqrt(rank)) : alpha / rank;
  }

  @Override
  public String toString() {
    return "rank "
        + rank
        + ", alpha "
        + alpha
        + (rsLora ? " (rsLoRA)" : "")
        + ", dropout "
        + dropout;
  }
}
