package org.lorakernels.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.merge.CheckpointMerger;
import org.lorakernels.merge.CombineConfig;
import org.lorakernels.merge.WeightedAdapter;
import org.lorakernels.merge.WeightedModel;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.peft.PeftConfig;

/** What {@code --adapter DIR[:weight]} names: adapters, which are mapped, or fine-tuned models. */
final class MergeInputs implements AutoCloseable {
  private final List<WeightedAdapter> adapters = new ArrayList<>();
  private final List<WeightedModel> models = new ArrayList<>();

  private MergeInputs() {}

  static MergeInputs load(Device device, List<String> arguments) {
    MergeInputs inputs = new MergeInputs();
    try {
      arguments.forEach(argument -> inputs.add(device, argument));
      if (!inputs.adapters.isEmpty() && !inputs.models.isEmpty()) {
        throw new InvalidArgumentException(
            "--adapter: all must be adapters or all models, but "
                + inputs.adapters.get(0).adapter().directory()
                + " is an adapter and "
                + inputs.models.get(0).directory()
                + " a model; merge the adapter into its model first");
      }
      return inputs;
    } catch (RuntimeException failure) {
      inputs.close();
      throw failure;
    }
  }

  private void add(Device device, String argument) {
    int colon = argument.lastIndexOf(':');
    Float weight = colon < 0 ? null : number(argument.substring(colon + 1));
    Path directory = Path.of(weight == null ? argument : argument.substring(0, colon));
    float used = weight == null ? 1 : weight;
    boolean model =
        Files.exists(directory.resolve("config.json"))
            && !Files.exists(directory.resolve(PeftConfig.FILE));
    if (model) {
      models.add(new WeightedModel(directory, used));
      return;
    }
    PeftAdapter adapter = PeftAdapter.map(device, directory);
    try {
      adapters.add(new WeightedAdapter(adapter, used));
    } catch (RuntimeException failure) {
      adapter.close();
      throw failure;
    }
  }

  /** Null: not a number, so that the colon belongs to the name of the directory. */
  private static Float number(String text) {
    try {
      return Float.valueOf(text);
    } catch (NumberFormatException e) {
      return null;
    }
  }

  int size() {
    return adapters.size() + models.size();
  }

  boolean areModels() {
    return !models.isEmpty();
  }

  List<WeightedAdapter> adapters() {
    return adapters;
  }

  CheckpointMerger into(Path model, CombineConfig config) {
    CheckpointMerger merger = CheckpointMerger.of(model);
    return areModels() ? merger.models(models, config) : merger.adapters(adapters, config);
  }

  @Override
  public void close() {
    adapters.forEach(adapter -> adapter.adapter().close());
  }
}
