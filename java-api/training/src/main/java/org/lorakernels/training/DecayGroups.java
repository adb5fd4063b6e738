package org.lorakernels.training;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.lorakernels.AdamWConfig;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;

/**
 * AdamW with and without weight decay: norm weights and biases do not decay, which are known by
 * their names, as in transformers ({@code Trainer.get_decay_parameter_names}).
 */
final class DecayGroups implements AutoCloseable {
  private static final Pattern NEVER_DECAYS =
      Pattern.compile("bias|layernorm|rmsnorm|(?:^|\\.)norm(?:$|\\.)|_norm(?:$|\\.)");

  private final List<PagedAdamW> groups = new ArrayList<>();

  DecayGroups(Collection<Parameter> parameters, AdamWConfig config) {
    List<Parameter> decaying = new ArrayList<>();
    List<Parameter> others = new ArrayList<>();
    for (Parameter parameter : parameters) {
      (decays(parameter.name()) ? decaying : others).add(parameter);
    }
    try {
      if (!decaying.isEmpty()) {
        groups.add(PagedAdamW.over(decaying, config));
      }
      if (!others.isEmpty()) {
        groups.add(PagedAdamW.over(others, config.weightDecay(0)));
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  static boolean decays(String name) {
    return !NEVER_DECAYS.matcher(name.toLowerCase(Locale.ROOT)).find();
  }

  /** One step at a learning rate, with gradients times {@code gradientScale}. */
  void step(double learningRate, float gradientScale) {
    for (PagedAdamW group : groups) {
      group.learningRate(learningRate);
      group.step(gradientScale);
    }
  }

  void zeroGradients() {
    groups.forEach(PagedAdamW::zeroGradients);
  }

  /** The moments by the names of their parameters, with torch's suffixes. */
  SortedMap<String, Tensor> states() {
    SortedMap<String, Tensor> states = new TreeMap<>();
    for (PagedAdamW group : groups) {
      for (int i = 0; i < group.parameters().size(); i++) {
        String name = group.parameters().get(i).name();
        states.put(name + ".exp_avg", group.expAvg(i));
        states.put(name + ".exp_avg_sq", group.expAvgSq(i));
      }
    }
    return states;
  }

  /** The moments were written back; goes on after so many steps. */
  void restore(long steps) {
    groups.forEach(group -> group.restore(steps));
  }

  @Override
  public void close() {
    groups.forEach(PagedAdamW::close);
  }
}
