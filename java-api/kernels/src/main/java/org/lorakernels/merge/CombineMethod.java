package org.lorakernels.merge;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.lorakernels.InvalidArgumentException;

/**
 * How adapters or models are combined: what is dropped from each, whether a sign is elected, and on
 * what the method works. The first eleven are PEFT's combination types (PEFT 0.21,
 * add_weighted_adapter); the others carry mergekit's names.
 */
public enum CombineMethod {
  /** Weighted sums of the A and of the B; a rough approximation of the sum of the adapters. */
  LINEAR(Dropping.NOTHING, false, Domain.FACTORS),
  /** A and B side by side: exactly the weighted sum of the adapters, at the sum of their ranks. */
  CAT(Dropping.NOTHING, false, Domain.CONCATENATION),
  /** The weighted sum of the deltas, cut to the rank by SVD. */
  SVD(Dropping.NOTHING, false, Domain.DELTAS),
  /** TIES (Yadav et al. 2023, arXiv:2306.01708) on the A and on the B. */
  TIES(Dropping.SMALL, true, Domain.FACTORS),
  /** TIES on the deltas, cut to the rank by SVD. */
  TIES_SVD(Dropping.SMALL, true, Domain.DELTAS),
  /** DARE (Yu et al. 2023, arXiv:2311.03099) on the A and on the B, then a weighted sum. */
  DARE_LINEAR(Dropping.RANDOM, false, Domain.FACTORS),
  /** DARE on the A and on the B, then TIES' election of signs. */
  DARE_TIES(Dropping.RANDOM, true, Domain.FACTORS),
  /** DARE on the deltas, then a weighted sum, cut to the rank by SVD. */
  DARE_LINEAR_SVD(Dropping.RANDOM, false, Domain.DELTAS),
  /** DARE on the deltas, then TIES' election of signs, cut to the rank by SVD. */
  DARE_TIES_SVD(Dropping.RANDOM, true, Domain.DELTAS),
  /** The largest elements of the A and of the B, then a weighted sum. */
  MAGNITUDE_PRUNE(Dropping.SMALL, false, Domain.FACTORS),
  /** The largest elements of the deltas, then a weighted sum, cut to the rank by SVD. */
  MAGNITUDE_PRUNE_SVD(Dropping.SMALL, false, Domain.DELTAS),
  /**
   * The weighted sum of the deltas (Ilharco et al. 2023, arXiv:2212.04089): SVD by another name.
   */
  TASK_ARITHMETIC(Dropping.NOTHING, false, Domain.DELTAS),
  /** DELLA (Deep et al. 2024, arXiv:2406.11617) on the deltas: MagPrune and an elected sign. */
  DELLA(Dropping.BY_MAGNITUDE, true, Domain.DELTAS),
  /** MagPrune on the deltas, then a weighted sum. */
  DELLA_LINEAR(Dropping.BY_MAGNITUDE, false, Domain.DELTAS),
  /**
   * Model breadcrumbs (Davari and Belilovsky 2023, arXiv:2312.06795) on the deltas: without the
   * smallest and without the largest.
   */
  BREADCRUMBS(Dropping.OUTLIERS, false, Domain.DELTAS),
  /** Breadcrumbs with TIES' election of signs. */
  BREADCRUMBS_TIES(Dropping.OUTLIERS, true, Domain.DELTAS),
  /** Between the base and one model, along the sphere (Shoemake 1985); models only. */
  SLERP(Dropping.NOTHING, false, Domain.MODELS);

  /** What becomes 0 before tensors are added. */
  public enum Dropping {
    /** Nothing. */
    NOTHING,
    /** The smallest. */
    SMALL,
    /** Any, and the others are scaled up. */
    RANDOM,
    /** Any, the small ones rather, and the others are scaled up. */
    BY_MAGNITUDE,
    /** The smallest and the largest. */
    OUTLIERS
  }

  /** What a method works on. */
  public enum Domain {
    /** A and B on their own. */
    FACTORS,
    /** A and B, put side by side. */
    CONCATENATION,
    /** scaling * B * A, or the difference of two models. */
    DELTAS,
    /** Whole weights. */
    MODELS
  }

  private final Dropping dropping;
  private final boolean electsSign;
  private final Domain domain;

  CombineMethod(Dropping dropping, boolean electsSign, Domain domain) {
    this.dropping = dropping;
    this.electsSign = electsSign;
    this.domain = domain;
  }

  /** What becomes 0 first. */
  public Dropping dropping() {
    return dropping;
  }

  /** Whether a sign is elected for every element (TIES), instead of a plain weighted sum. */
  public boolean electsSign() {
    return electsSign;
  }

  /** What it works on where adapters are combined. */
  public Domain domain() {
    return domain;
  }

  /** Whether it needs a density. */
  public boolean needsDensity() {
    return dropping != Dropping.NOTHING;
  }

  /**
   * The method of a name as PEFT and mergekit write it ({@code dare_ties}).
   *
   * @throws InvalidArgumentException if there is none; the message lists all
   */
  public static CombineMethod named(String name) {
    return Arrays.stream(values())
        .filter(method -> method.toString().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidArgumentException(
                    "method: expected one of "
                        + Arrays.stream(values())
                            .map(CombineMethod::toString)
                            .collect(Collectors.joining(", "))
                        + ", but is \""
                        + name
                        + "\""));
  }

  /** The name as PEFT and mergekit write it: {@code dare_ties}. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
