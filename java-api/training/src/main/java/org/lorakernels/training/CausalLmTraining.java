package org.lorakernels.training;

import java.nio.file.Path;
import java.util.SortedMap;
import org.lorakernels.Device;
import org.lorakernels.Parameter;
import org.lorakernels.training.data.Batch;
import org.lorakernels.training.model.CausalLm;

/** A {@link CausalLm} as a trainer sees it. */
final class CausalLmTraining implements TrainableModel {
  /** Where the result of full fine-tuning goes in an output directory. */
  private static final String MODEL = "model";

  /** What the names of an adapter's parameters have in common. */
  private static final String ADAPTER = ".lora_";

  private final CausalLm model;

  CausalLmTraining(CausalLm model) {
    this.model = model;
  }

  @Override
  public Device device() {
    return model.device();
  }

  @Override
  public SortedMap<String, Parameter> parameters() {
    return model.parameters();
  }

  @Override
  public void training(boolean on) {
    model.training(on);
  }

  @Override
  public void dropoutStep(long step) {
    model.dropoutStep(step);
  }

  @Override
  public double loss(Batch batch) {
    return model.loss(batch);
  }

  @Override
  public double lossAndGradients(Batch batch, float gradientScale) {
    return model.lossAndGradients(batch, gradientScale);
  }

  @Override
  public void saveAdapter(Path directory) {
    if (trains(true)) {
      model.saveAdapter(directory);
    }
  }

  @Override
  public void saveResult(Path output) {
    saveAdapter(output);
    if (trains(false)) {
      model.saveModel(output.resolve(MODEL), true);
    }
  }

  /** Whether adapters, or dense weights, are among what is trained. */
  private boolean trains(boolean adapters) {
    return model.parameters().keySet().stream()
        .anyMatch(name -> name.contains(ADAPTER) == adapters);
  }
}
