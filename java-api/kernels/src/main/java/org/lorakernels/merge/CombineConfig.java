package org.lorakernels.merge;

import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraConfig;
import org.lorakernels.MergeKernels.SignElection;
import org.lorakernels.TruncatedSvd;
import org.lorakernels.json.JsonObject;

/**
 * How to combine: the method and its parameters. Immutable; start from {@link #of}:
 *
 * <pre>{@code CombineConfig.of(CombineMethod.TIES).density(0.5)}</pre>
 */
public final class CombineConfig {
  private final CombineMethod method;
  private final double density; // 0: not given
  private final SignElection election;
  private final int rank; // 0: not given
  private final long seed;
  private final double epsilon;
  private final double gamma;
  private final TruncatedSvd.Method svd;
  private final CombineMasks masks; // null: the generator's

  private CombineConfig(
      CombineMethod method,
      double density,
      SignElection election,
      int rank,
      long seed,
      double epsilon,
      double gamma,
      TruncatedSvd.Method svd,
      CombineMasks masks) {
    this.method = method;
    this.density = density;
    this.election = election;
    this.rank = rank;
    this.seed = seed;
    this.epsilon = epsilon;
    this.gamma = gamma;
    this.svd = svd;
    this.masks = masks;
  }

  /** A method with sign election by total and seed 0; a method that drops needs a density too. */
  public static CombineConfig of(CombineMethod method) {
    return new CombineConfig(
        Objects.requireNonNull(method, "method"),
        0,
        SignElection.TOTAL,
        0,
        0,
        0.15,
        0.01,
        TruncatedSvd.Method.AUTOMATIC,
        null);
  }

  /**
   * The same with another share of elements that are kept.
   *
   * @param share in (0, 1]
   */
  public CombineConfig density(double share) {
    if (!(share > 0 && share <= 1)) {
      throw new InvalidArgumentException("density: must be in (0, 1], but is " + share);
    }
    return new CombineConfig(method, share, election, rank, seed, epsilon, gamma, svd, masks);
  }

  /** The same with another election of signs (PEFT's majority_sign_method); default by total. */
  public CombineConfig majoritySign(SignElection newElection) {
    return new CombineConfig(
        method,
        density,
        Objects.requireNonNull(newElection, "newElection"),
        rank,
        seed,
        epsilon,
        gamma,
        svd,
        masks);
  }

  /**
   * The same with another rank of the result, for methods that cut by SVD (PEFT's svd_rank);
   * default: the largest rank of the adapters.
   *
   * @param newRank 1 ... 256
   */
  public CombineConfig rank(int newRank) {
    if (newRank < 1 || newRank > LoraConfig.MAX_RANK) {
      throw new InvalidArgumentException(
          "rank: must be in 1 ... " + LoraConfig.MAX_RANK + ", but is " + newRank);
    }
    return new CombineConfig(method, density, election, newRank, seed, epsilon, gamma, svd, masks);
  }

  /** The same with another seed of what is dropped at random; default 0. */
  public CombineConfig seed(long newSeed) {
    return new CombineConfig(method, density, election, rank, newSeed, epsilon, gamma, svd, masks);
  }

  /**
   * The same with another reach of DELLA's probabilities around the density; default 0.15.
   *
   * @param reach at least 0; density ± reach must be in (0, 1)
   */
  public CombineConfig epsilon(double reach) {
    return new CombineConfig(method, density, election, rank, seed, reach, gamma, svd, masks);
  }

  /**
   * The same with another share of the largest elements that breadcrumbs drops; default 0.01.
   *
   * @param share in [0, 1)
   */
  public CombineConfig gamma(double share) {
    if (!(share >= 0 && share < 1)) {
      throw new InvalidArgumentException("gamma: must be in [0, 1), but is " + share);
    }
    return new CombineConfig(method, density, election, rank, seed, epsilon, share, svd, masks);
  }

  /** The same with another way to decompose; default automatic. */
  public CombineConfig svd(TruncatedSvd.Method newSvd) {
    return new CombineConfig(
        method,
        density,
        election,
        rank,
        seed,
        epsilon,
        gamma,
        Objects.requireNonNull(newSvd, "newSvd"),
        masks);
  }

  /** The same with masks of the caller for DARE; null: those of the counter-based generator. */
  public CombineConfig masks(CombineMasks newMasks) {
    return new CombineConfig(method, density, election, rank, seed, epsilon, gamma, svd, newMasks);
  }

  /** The same with another method. */
  CombineConfig method(CombineMethod newMethod) {
    return new CombineConfig(newMethod, density, election, rank, seed, epsilon, gamma, svd, masks);
  }

  /** The method. */
  public CombineMethod method() {
    return method;
  }

  /**
   * The share of elements that are kept; 1 for a method that drops nothing.
   *
   * @throws InvalidArgumentException if the method needs one and none was given
   */
  public double density() {
    if (!method.needsDensity()) {
      return 1;
    }
    if (density == 0) {
      throw new InvalidArgumentException(
          "density: " + method + " needs one in (0, 1], but none was given");
    }
    return density;
  }

  /** How signs are elected. */
  public SignElection majoritySign() {
    return election;
  }

  /** The rank of the result, if it was given. */
  public Optional<Integer> rank() {
    return rank == 0 ? Optional.empty() : Optional.of(rank);
  }

  /** Seed of what is dropped at random. */
  public long seed() {
    return seed;
  }

  /** Reach of DELLA's probabilities. */
  public double epsilon() {
    return epsilon;
  }

  /** Share of the largest elements that breadcrumbs drops. */
  public double gamma() {
    return gamma;
  }

  /** How to decompose. */
  public TruncatedSvd.Method svd() {
    return svd;
  }

  /** Masks of the caller, if there are any. */
  public Optional<CombineMasks> masks() {
    return Optional.ofNullable(masks);
  }

  /** What is recorded beside a result. */
  JsonObject describe() {
    JsonObject json = new JsonObject().put("method", method.toString());
    if (method.needsDensity()) {
      json.put("density", density()).put("seed", seed);
    }
    if (method.electsSign()) {
      json.put("majority_sign", election.name().toLowerCase(Locale.ROOT));
    }
    if (method.dropping() == CombineMethod.Dropping.BY_MAGNITUDE) {
      json.put("epsilon", epsilon);
    }
    if (method.dropping() == CombineMethod.Dropping.OUTLIERS) {
      json.put("gamma", gamma);
    }
    if (rank != 0) {
      json.put("rank", rank);
    }
    return json;
  }

  @Override
  public String toString() {
    return method
        + (method.needsDensity() && density != 0 ? ", density " + density : "")
        + (method.electsSign()
            ? ", majority sign by " + election.name().toLowerCase(Locale.ROOT)
            : "");
  }
}
