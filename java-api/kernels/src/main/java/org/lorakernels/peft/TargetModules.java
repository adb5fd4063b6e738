package org.lorakernels.peft;

import java.util.Collection;
import java.util.HashSet;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * How a set of modules is written as {@code target_modules} and {@code layers_to_transform}.
 *
 * @param names last parts of names ({@code q_proj}), or full names
 * @param layers numbers of layers; empty: all, or the names say it
 */
record TargetModules(Set<String> names, Set<Integer> layers) {
  /** How PEFT finds the number of a module's layer where layers_pattern is not given. */
  private static final Pattern LAYER = Pattern.compile(".*\\.[^.]*\\.(\\d+)\\..*");

  /** The shortest way to say {@code adapted} among {@code linears}. */
  static TargetModules of(Set<String> adapted, Collection<String> linears) {
    Set<String> parts = new TreeSet<>();
    Set<Integer> layers = new TreeSet<>();
    for (String module : adapted) {
      parts.add(lastPart(module));
      layer(module).ifPresent(layers::add);
    }
    Set<String> sameParts =
        linears.stream().filter(m -> parts.contains(lastPart(m))).collect(Collectors.toSet());
    if (sameParts.equals(new HashSet<>(adapted))) {
      return new TargetModules(parts, Set.of());
    }
    sameParts.removeIf(m -> layer(m).isEmpty() || !layers.contains(layer(m).getAsInt()));
    return sameParts.equals(new HashSet<>(adapted))
        ? new TargetModules(parts, layers)
        : new TargetModules(new TreeSet<>(adapted), Set.of());
  }

  /** {@code q_proj} of {@code model.layers.0.self_attn.q_proj}. */
  static String lastPart(String module) {
    return module.substring(module.lastIndexOf('.') + 1);
  }

  /** The number of a module's layer. */
  static OptionalInt layer(String module) {
    Matcher matcher = LAYER.matcher(module);
    return matcher.matches()
        ? OptionalInt.of(Integer.parseInt(matcher.group(1)))
        : OptionalInt.empty();
  }
}
