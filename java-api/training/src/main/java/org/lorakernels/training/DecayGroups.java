package org.lorakernels.training;

import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.regex.Pattern;
import org.lorakernels.AdamWConfig;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Parameter;
import org.lorakernels.ParameterGroup;
import org.lorakernels.optimizer.OptimizerFile;

/**
 * AdamW with and without weight decay: norm weights and biases do not decay, which are known by
 * their names, as in transformers ({@code Trainer.get_decay_parameter_names}).
 */
final class DecayGroups implements AutoCloseable {
  private static final Pattern NEVER_DECAYS =
      Pattern.compile(
          "bias|layernorm|rmsnorm|(?:^|\\.)norm(?:$|\\.)|_norm(?:$|\\.)", Pattern.CASE_INSENSITIVE);

  private final PagedAdamW optimizer;

  DecayGroups(Collection<Parameter> parameters, AdamWConfig config) {
    optimizer =
        PagedAdamW.over(
            List.copyOf(parameters), config.group(new ParameterGroup(NEVER_DECAYS, 0, 1)));
  }

  static boolean decays(String name) {
    return !NEVER_DECAYS.matcher(name).find();
  }

  /** One step at a learning rate, with gradients times {@code gradientScale}. */
  void step(double learningRate, float gradientScale) {
    optimizer.learningRate(learningRate);
    optimizer.step(gradientScale);
  }

  void zeroGradients() {
    optimizer.zeroGradients();
  }

  /** Writes all states into one file; see {@link OptimizerFile}. */
  void write(Path file) {
    OptimizerFile.write(file, List.of(optimizer));
  }

  /** Goes on from the states of a file. */
  void read(Path file) {
    OptimizerFile.read(file, List.of(optimizer));
  }

  @Override
  public void close() {
    optimizer.close();
  }
}
