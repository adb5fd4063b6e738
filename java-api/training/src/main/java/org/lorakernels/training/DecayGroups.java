package org.lorakernels.training;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.regex.Pattern;
import org.lorakernels.AdamWConfig;
import org.lorakernels.CheckpointException;
import org.lorakernels.PagedAdamW;
import org.lorakernels.PagedAdamWConfig;
import org.lorakernels.Parameter;
import org.lorakernels.ParameterGroup;
import org.lorakernels.StepResult;
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

  /**
   * Over parameters, with states of zero.
   *
   * @param type how states are kept
   * @param spillDirectory where they go if they are paged; made where it does not exist; null: the
   *     system's directory of temporary files
   */
  DecayGroups(
      Collection<Parameter> parameters,
      AdamWConfig config,
      OptimizerType type,
      Path spillDirectory) {
    optimizer =
        PagedAdamW.over(
            List.copyOf(parameters),
            config.group(new ParameterGroup(NEVER_DECAYS, 0, 1)),
            paging(parameters, config, type, spillDirectory));
  }

  private static PagedAdamWConfig paging(
      Collection<Parameter> parameters, AdamWConfig config, OptimizerType type, Path directory) {
    long bytes = 0;
    for (Parameter parameter : parameters) {
      bytes += config.stateBytes(parameter.value().elementCount(), parameter.value().dtype());
    }
    PagedAdamWConfig resident = PagedAdamWConfig.resident();
    if (type.budget(bytes) == bytes) {
      return resident;
    }
    Path spill = directory == null ? Path.of(System.getProperty("java.io.tmpdir")) : directory;
    try {
      Files.createDirectories(spill);
    } catch (IOException e) {
      throw new CheckpointException(
          spill, "cannot be made for the optimiser's states: " + e.getMessage(), e);
    }
    return resident.hostBudget(type.budget(bytes)).spillDirectory(spill);
  }

  static boolean decays(String name) {
    return !NEVER_DECAYS.matcher(name).find();
  }

  /** One step at a learning rate, gradients clipped; none where one is not finite. */
  StepResult step(double learningRate) {
    optimizer.learningRate(learningRate);
    return optimizer.step();
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
