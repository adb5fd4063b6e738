package org.lorakernels.training.model;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Stream;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraConfig;
import org.lorakernels.peft.PeftConfig;

/**
 * Which linear layers get an adapter, and of what kind. Immutable; start from {@link #rank}:
 *
 * <pre>{@code LoraSpec.rank(16).alpha(32).dropout(0.05f).targets("q_proj", "v_proj").layers(8, 16)}
 * </pre>
 *
 * <p>Without {@link #targets} or {@link #targetsMatching}, every projection of the chosen layers is
 * adapted (PEFT's {@code all-linear}). Modules go by the name of their weight without {@code
 * .weight}: {@code model.layers.0.self_attn.q_proj}.
 */
public final class LoraSpec {
  /** What a module of a decoder layer is called, with the number of the layer. */
  private static final Pattern LAYER = Pattern.compile(".*\\.layers\\.(\\d+)\\..*");

  /** What {@link #targets} takes for all projections. */
  public static final String ALL_LINEAR = "all-linear";

  private final LoraConfig base;
  private final boolean dora;
  private final List<Target> targets; // empty: all projections
  private final Predicate<Integer> layers;
  private final List<Exceptional> overrides;

  /** Modules as they were named, and whether one is meant. */
  private record Target(String named, Predicate<String> matches) {}

  private record Exceptional(Target target, Function<String, LoraConfig> lora) {}

  private LoraSpec(
      LoraConfig base,
      boolean dora,
      List<Target> targets,
      Predicate<Integer> layers,
      List<Exceptional> overrides) {
    this.base = base;
    this.dora = dora;
    this.targets = targets;
    this.layers = layers;
    this.overrides = overrides;
  }

  /**
   * Rank r, alpha = r, no dropout, plain LoRA, seed 0, on every projection of every layer.
   *
   * @param rank 1 ... 256
   */
  public static LoraSpec rank(int rank) {
    return new LoraSpec(LoraConfig.rank(rank), false, List.of(), layer -> true, List.of());
  }

  /** What a PEFT configuration describes: hyperparameters with their patterns, targets, DoRA. */
  public static LoraSpec of(PeftConfig config) {
    LoraConfig base =
        LoraConfig.rank(config.rank())
            .alpha(config.alpha())
            .dropout(config.dropout())
            .rsLora(config.rsLora());
    Exceptional patterns = new Exceptional(new Target("patterns", m -> true), config::lora);
    Target targets = new Target("target_modules of the configuration", config::targets);
    return new LoraSpec(base, config.dora(), List.of(targets), layer -> true, List.of(patterns));
  }

  /** The same with another alpha; scaling = alpha / rank. */
  public LoraSpec alpha(float alpha) {
    return with(base.alpha(alpha));
  }

  /**
   * The same with dropout on the input of adapters in training.
   *
   * @param rate probability of dropping, in [0, 1)
   */
  public LoraSpec dropout(float rate) {
    return with(base.dropout(rate));
  }

  /** The same with scaling = alpha / sqrt(rank): Kalajdzievski 2023, arXiv:2312.03732. */
  public LoraSpec rsLora(boolean on) {
    return with(base.rsLora(on));
  }

  /** The same with trainable magnitudes of rows: DoRA, Liu et al. 2024, arXiv:2402.09353. */
  public LoraSpec dora(boolean on) {
    return new LoraSpec(base, on, targets, layers, overrides);
  }

  /** The same with another seed, of the initial A and of dropout; modules differ all the same. */
  public LoraSpec seed(long seed) {
    return with(base.seed(seed));
  }

  /**
   * The same on other modules.
   *
   * @param names full names of modules or their last parts ({@code q_proj}), or {@code all-linear}
   */
  public LoraSpec targets(String... names) {
    return targets(List.of(names));
  }

  /** {@link #targets(String...)}. */
  public LoraSpec targets(Collection<String> names) {
    if (names.isEmpty()) {
      throw new InvalidArgumentException("LoraSpec: targets must name at least one module");
    }
    return withTargets(
        names.contains(ALL_LINEAR)
            ? List.of()
            : names.stream()
                .map(n -> new Target(n, m -> m.equals(n) || m.endsWith("." + n)))
                .toList());
  }

  /**
   * The same on the modules whose whole name matches.
   *
   * @param regex a regular expression, as PEFT takes one for {@code target_modules}
   */
  public LoraSpec targetsMatching(String regex) {
    return withTargets(List.of(matching(regex, regex)));
  }

  /**
   * The same in some layers only.
   *
   * @param from first layer, counted from 0
   * @param to the layer after the last
   */
  public LoraSpec layers(int from, int to) {
    if (from < 0 || to <= from) {
      throw new InvalidArgumentException(
          "LoraSpec: layers must be a range with 0 <= from < to, but are " + from + " to " + to);
    }
    return new LoraSpec(base, dora, targets, layer -> layer >= from && layer < to, overrides);
  }

  /** The same in these layers only, counted from 0 (PEFT's {@code layers_to_transform}). */
  public LoraSpec layers(Collection<Integer> numbers) {
    Set<Integer> chosen = Set.copyOf(numbers);
    return new LoraSpec(base, dora, targets, chosen::contains, overrides);
  }

  /**
   * The same with other hyperparameters for some modules; the first pattern that matches counts.
   *
   * @param pattern a regular expression that matches the end of a module's name, as in PEFT's
   *     {@code rank_pattern}
   * @param lora rank, alpha, dropout and rsLoRA of those modules. PEFT's files have one dropout and
   *     one rsLoRA for all modules: where these differ, a saved adapter has the alpha that gives
   *     the same scaling, and the dropout of {@link #base}
   */
  public LoraSpec override(String pattern, LoraConfig lora) {
    List<Exceptional> all = new ArrayList<>(overrides);
    all.add(new Exceptional(matching(pattern, "(.*\\.)?(" + pattern + ")"), m -> lora));
    return new LoraSpec(base, dora, targets, layers, List.copyOf(all));
  }

  private LoraSpec with(LoraConfig newBase) {
    return new LoraSpec(newBase, dora, targets, layers, overrides);
  }

  private LoraSpec withTargets(List<Target> newTargets) {
    return new LoraSpec(base, dora, newTargets, layers, overrides);
  }

  private static Target matching(String named, String regex) {
    try {
      Pattern pattern = Pattern.compile(regex);
      return new Target(named, module -> pattern.matcher(module).matches());
    } catch (PatternSyntaxException e) {
      throw new InvalidArgumentException(
          "LoraSpec: expected a regular expression, but is \"" + named + "\"");
    }
  }

  /** Hyperparameters of modules that no override names. */
  public LoraConfig base() {
    return base;
  }

  /** Whether magnitudes are trained. */
  public boolean dora() {
    return dora;
  }

  /** Whether a projection gets an adapter. */
  public boolean adapts(String module) {
    Matcher layer = LAYER.matcher(module);
    return (targets.isEmpty() || targets.stream().anyMatch(t -> t.matches.test(module)))
        && (!layer.matches() || layers.test(Integer.parseInt(layer.group(1))));
  }

  /** Targets and overrides that mean none of these modules. */
  List<String> unmatched(Collection<String> modules) {
    return Stream.concat(targets.stream(), overrides.stream().map(Exceptional::target))
        .filter(target -> modules.stream().noneMatch(target.matches))
        .map(Target::named)
        .toList();
  }

  /** The hyperparameters of a module's adapter, with a seed of its own. */
  public LoraConfig of(String module) {
    LoraConfig config =
        overrides.stream()
            .filter(exceptional -> exceptional.target.matches.test(module))
            .findFirst()
            .map(exceptional -> exceptional.lora.apply(module))
            .orElse(base);
    return config.dtype(base.dtype()).seed(seedOf(base.seed(), module));
  }

  /** FNV-1a over the name, from the seed: distinct for every module, the same in every run. */
  private static long seedOf(long seed, String module) {
    long hash = 0xcbf29ce484222325L ^ seed * 0x9e3779b97f4a7c15L;
    for (int i = 0; i < module.length(); i++) {
      hash = (hash ^ module.charAt(i)) * 0x100000001b3L;
    }
    return hash;
  }

  @Override
  public String toString() {
    return base + (dora ? " (DoRA)" : "");
  }
}
