package org.lorakernels.training;

import java.nio.file.Path;
import java.util.SortedMap;
import org.lorakernels.Device;
import org.lorakernels.Parameter;
import org.lorakernels.training.data.Batch;

/** What a trainer needs of a model; {@code CausalLm} is one, and tests have smaller ones. */
interface TrainableModel {
  /** Where its tensors are. */
  Device device();

  /** What is trained, by names that do not change from run to run. */
  SortedMap<String, Parameter> parameters();

  /** Dropout on or off. */
  void training(boolean on);

  /** The dropout masks of the next pass are those of this number. */
  void dropoutStep(long step);

  /** Sum of the losses of the labelled tokens. */
  double loss(Batch batch);

  /** The same sum; adds the gradient of {@code gradientScale} times the sum to the gradients. */
  double lossAndGradients(Batch batch, float gradientScale);

  /** Writes adapters into a directory that exists; nothing where there are none. */
  void saveAdapter(Path directory);

  /** Writes what was trained into the output directory of a run, in place of an earlier result. */
  void saveResult(Path output);
}
