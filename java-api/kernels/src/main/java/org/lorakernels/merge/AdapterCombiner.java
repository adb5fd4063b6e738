package org.lorakernels.merge;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.MergeKernels;
import org.lorakernels.ShapeMismatchException;
import org.lorakernels.Tensor;
import org.lorakernels.merge.CombineMethod.Domain;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.peft.PeftConfig;

/**
 * Several LoRA adapters into one, as PEFT's add_weighted_adapter does. Methods that work on A and B
 * put sign(w s) sqrt(|w s|) on A and sqrt(|w s|) on B, for an adapter of weight w and scaling s.
 * The result has a scaling of 1.
 *
 * <ul>
 *   <li>A module is combined from those adapters that have it; with what weights, no other adapter
 *       matters.
 *   <li>One adapter alone is always combined by {@code linear}, as PEFT does.
 *   <li>Methods on A and B need one rank for all; where a module's is lower (rank_pattern), the
 *       result is filled up with zeros.
 * </ul>
 */
public final class AdapterCombiner {
  private final List<WeightedAdapter> adapters;
  private final CombineConfig config;
  private final TensorCombiner tensors;
  private final Set<String> modules = new LinkedHashSet<>();
  private final int rank;

  /**
   * Checks that the adapters can be combined.
   *
   * @param adapters at least one, on one CPU device; stay the caller's, and open while this is used
   * @param config method and parameters
   * @throws InvalidArgumentException for no adapter, weights that are all 0, values that are not
   *     finite, or ranks that the method cannot combine
   * @throws ShapeMismatchException for adapters of different models
   */
  public AdapterCombiner(List<WeightedAdapter> adapters, CombineConfig config) {
    this.adapters = List.copyOf(adapters);
    if (adapters.isEmpty()) {
      throw new InvalidArgumentException("combine: needs at least one adapter, but there is none");
    }
    this.config = adapters.size() == 1 ? config.method(CombineMethod.LINEAR).masks(null) : config;
    this.tensors = new TensorCombiner(this.config);
    if (adapters.stream().allMatch(adapter -> adapter.weight() == 0)) {
      throw new InvalidArgumentException(
          "combine: every weight is 0, which would leave the model as it is; give one another weight");
    }
    adapters.forEach(adapter -> modules.addAll(adapter.adapter().modules().keySet()));
    modules.forEach(this::requireFitting);
    this.rank = resultRank();
  }

  private void requireFitting(String module) {
    LoraAdapter first = null;
    for (Part part : parts(module)) {
      LoraAdapter lora = part.lora;
      first = first == null ? lora : first;
      if (lora.rows() != first.rows() || lora.cols() != first.cols()) {
        throw new ShapeMismatchException(
            "combine: the adapters must be of one model, but "
                + module
                + " is ["
                + first.rows()
                + ", "
                + first.cols()
                + "] in one and ["
                + lora.rows()
                + ", "
                + lora.cols()
                + "] in another");
      }
      if (config.method().domain() == Domain.FACTORS && lora.rank() != first.rank()) {
        throw rankMismatch(module, first.rank(), lora.rank());
      }
      requireFinite(module + ".lora_A", lora.a());
      requireFinite(module + ".lora_B", lora.b());
    }
    evict();
  }

  /** What was read of mapped adapters for one module need not stay in memory for the next. */
  void evict() {
    adapters.forEach(adapter -> adapter.adapter().evict());
  }

  private InvalidArgumentException rankMismatch(String where, int one, int other) {
    return new InvalidArgumentException(
        "combine: "
            + config.method()
            + " needs adapters of one rank, but "
            + where
            + " has "
            + one
            + " and "
            + other
            + "; use cat, or one of the methods with svd");
  }

  /** The sum of squares of finite floats is finite in float64. */
  private static void requireFinite(String name, Tensor tensor) {
    if (!Double.isFinite(MergeKernels.dot(tensor, tensor))) {
      throw new InvalidArgumentException(
          "combine: every value must be finite, but "
              + name
              + " has NaN or infinity; the adapter's training diverged: take an earlier one");
    }
  }

  private int resultRank() {
    int largest = 0;
    int sum = 0;
    for (WeightedAdapter adapter : adapters) {
      int highest =
          adapter.adapter().modules().values().stream().mapToInt(LoraAdapter::rank).max().orElse(1);
      if (config.method().domain() == Domain.FACTORS && largest != 0 && highest != largest) {
        throw rankMismatch("the list", largest, highest);
      }
      largest = Math.max(largest, highest);
      sum += highest;
    }
    return switch (config.method().domain()) {
      case CONCATENATION -> sum;
      case DELTAS -> config.rank().orElse(largest);
      default -> largest;
    };
  }

  /** Whether one adapter can hold the result; cat of many may pass the largest rank. */
  boolean fitsOneAdapter() {
    return rank <= LoraConfig.MAX_RANK;
  }

  private void requireOneAdapter() {
    if (!fitsOneAdapter()) {
      throw new InvalidArgumentException(
          "combine: cat gives rank "
              + rank
              + ", but an adapter has at most "
              + LoraConfig.MAX_RANK
              + "; use svd with a rank, or merge into a model, where cat has no limit");
    }
  }

  /** What is combined of one module of one adapter. */
  private record Part(LoraAdapter lora, float weight) {
    /** Weight and scaling. */
    float scaled() {
      return weight * lora.scaling();
    }

    float onA() {
      return Math.signum(scaled()) * onB();
    }

    float onB() {
      return (float) Math.sqrt(Math.abs((double) weight * lora.scaling()));
    }
  }

  private List<Part> parts(String module) {
    List<Part> parts = new ArrayList<>();
    for (WeightedAdapter adapter : adapters) {
      LoraAdapter lora = adapter.adapter().modules().get(module);
      if (lora != null) {
        parts.add(new Part(lora, adapter.weight()));
      }
    }
    return parts;
  }

  /** The method that is used: {@code linear} for a single adapter. */
  public CombineMethod method() {
    return config.method();
  }

  /** The rank of the result; of cat the sum of all ranks. */
  public int rank() {
    return rank;
  }

  /** The modules that at least one adapter has. */
  public Set<String> modules() {
    return java.util.Collections.unmodifiableSet(modules);
  }

  /** The configuration of the result. */
  public PeftConfig resultConfig() {
    return PeftConfig.combining(
        adapters.stream().map(adapter -> adapter.adapter().config()).toList(), modules, rank);
  }

  /**
   * The combined adapter of one module, to be closed by the caller; in the dtype of the first
   * adapter that has it, with scaling 1.
   *
   * @param module one of {@link #modules}
   * @throws InvalidArgumentException if there is no such module, or {@link #rank} is above 256
   */
  public LoraAdapter combine(String module) {
    requireOneAdapter();
    List<Part> parts = parts(module);
    if (parts.isEmpty()) {
      throw new InvalidArgumentException(
          "combine: no adapter has " + module + "; adapted are " + modules);
    }
    LoraAdapter first = parts.get(0).lora;
    Tensor a = Tensor.zeros(first.device(), first.config().dtype(), rank, first.cols());
    try {
      Tensor b = Tensor.zeros(first.device(), first.config().dtype(), first.rows(), rank);
      try {
        switch (method().domain()) {
          case FACTORS -> combineFactors(module, parts, a, b);
          case CONCATENATION -> concatenate(parts, a, b);
          default -> DeltaCombiner.combine(module, loras(parts), weights(parts), config, a, b);
        }
        LoraConfig result =
            LoraConfig.rank(rank)
                .alpha(rank)
                .dropout(first.config().dropout())
                .dtype(first.config().dtype());
        evict();
        return LoraAdapter.of(result, a, b);
      } catch (RuntimeException failure) {
        b.close();
        throw failure;
      }
    } catch (RuntimeException failure) {
      a.close();
      throw failure;
    }
  }

  private void combineFactors(String module, List<Part> parts, Tensor a, Tensor b) {
    int used = parts.get(0).lora.rank();
    float[] onA = new float[parts.size()];
    float[] onB = new float[parts.size()];
    for (int i = 0; i < onA.length; i++) {
      onA[i] = parts.get(i).onA();
      onB[i] = parts.get(i).onB();
    }
    try (Tensor rowsOfA = a.slice(0, used);
        Tensor columnsOfB = b.columns(0, used)) {
      List<Tensor> allA = parts.stream().map(part -> part.lora.a()).toList();
      List<Tensor> allB = parts.stream().map(part -> part.lora.b()).toList();
      tensors.combine(module, CombineMasks.Part.A, allA, onA, false, rowsOfA);
      tensors.combine(module, CombineMasks.Part.B, allB, onB, false, columnsOfB);
    }
  }

  private static void concatenate(List<Part> parts, Tensor a, Tensor b) {
    long from = 0;
    for (Part part : parts) {
      long to = from + part.lora.rank();
      try (Tensor rowsOfA = a.slice(from, to);
          Tensor columnsOfB = b.columns(from, to)) {
        MergeKernels.combineLinear(List.of(part.lora.a()), new float[] {part.scaled()}, rowsOfA);
        columnsOfB.copyFrom(part.lora.b());
      }
      from = to;
    }
  }

  private static List<LoraAdapter> loras(List<Part> parts) {
    return parts.stream().map(Part::lora).toList();
  }

  private static float[] weights(List<Part> parts) {
    float[] weights = new float[parts.size()];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = parts.get(i).weight;
    }
    return weights;
  }

  /**
   * Combines all modules and saves the result as an adapter that PEFT loads.
   *
   * @param directory is made if it does not exist
   * @throws InvalidArgumentException if {@link #rank} is above 256
   */
  public void save(Path directory) {
    requireOneAdapter();
    Map<String, LoraAdapter> combined = new LinkedHashMap<>();
    try {
      modules.forEach(module -> combined.put(module, combine(module)));
      PeftAdapter.save(directory, resultConfig(), combined);
    } finally {
      combined.values().forEach(LoraAdapter::close);
    }
  }
}
