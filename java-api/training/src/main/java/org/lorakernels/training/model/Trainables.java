package org.lorakernels.training.model;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Parameter;
import org.lorakernels.UnsupportedException;
import org.lorakernels.peft.PeftAdapter;

/**
 * What of a model is trainable: its adapters, and dense weights that were made so. What its methods
 * throw is said at those of {@link CausalLm}.
 */
final class Trainables implements AutoCloseable {
  private final Device device;
  private final DecoderStack stack;
  private final Head head;
  private final DoraScratch scratch;
  private AdapterSet adapters; // null: none
  private boolean training;

  Trainables(Device device, ModelLoader.Parts parts) {
    this.device = device;
    this.stack = parts.stack();
    this.head = parts.head();
    this.scratch = new DoraScratch(device, parts.computeDtype());
  }

  // ---- adapters

  void attach(LoraSpec spec) {
    removeAdapters();
    adapters = AdapterSet.create(spec, stack.linears(), scratch);
    adapters.training(training);
  }

  void load(Path directory, OptionalDouble dropout) {
    removeAdapters();
    try (PeftAdapter loaded = PeftAdapter.loadWithMagnitudes(device, directory)) {
      adapters = AdapterSet.load(loaded, directory, dropout, stack.linears(), scratch);
    }
    adapters.training(training);
  }

  void removeAdapters() {
    if (adapters != null) {
      adapters.close();
      adapters = null;
    }
  }

  void saveAdapters(Path target, String baseModel) {
    if (adapters == null) {
      throw new InvalidArgumentException("saveAdapter: there is no adapter; attach one first");
    }
    adapters.save(target, stack.linears(), baseModel);
  }

  void training(boolean on) {
    training = on;
    if (adapters != null) {
      adapters.training(on);
    }
  }

  void dropoutStep(long step) {
    if (adapters != null) {
      adapters.dropoutStep(step);
    }
  }

  /** Brings up to date what depends on the values of parameters: DoRA's norms. */
  void refresh() {
    if (adapters != null) {
      adapters.refresh();
    }
  }

  /** The result of {@code work}, during which dropout is off. */
  <T> T withoutDropout(Supplier<T> work) {
    boolean drops = training;
    training(false);
    try {
      return work.get();
    } finally {
      training(drops);
    }
  }

  // ---- dense weights

  private void forEachDense(Consumer<DenseParameter> visitor) {
    stack.forEachDense(visitor);
    head.forEachDense(visitor);
  }

  void trainDense(Predicate<String> names) {
    for (String name : quantizedNames()) {
      if (names.test(name)) {
        throw new UnsupportedException(
            "trainDense: \""
                + name
                + "\" is in 4 bits, which cannot be trained; load the model in 16 or 32 bits, or"
                + " attach adapters");
      }
    }
    List<DenseParameter> chosen = new ArrayList<>();
    forEachDense(
        parameter -> {
          if (names.test(parameter.name())) {
            chosen.add(parameter);
          }
        });
    if (chosen.isEmpty()) {
      throw new InvalidArgumentException("trainDense: no weight is chosen");
    }
    chosen.forEach(DenseParameter::train);
  }

  /** All weights of a model, none of which is in 4 bits. */
  List<DenseParameter> allDense() {
    List<String> quantized = quantizedNames();
    if (!quantized.isEmpty()) {
      throw new UnsupportedException(
          "saveModel: \""
              + quantized.get(0)
              + "\" is in 4 bits; load the model in 16 or 32 bits, or save the adapter");
    }
    List<DenseParameter> all = new ArrayList<>();
    forEachDense(all::add);
    return all;
  }

  private List<String> quantizedNames() {
    List<String> names = new ArrayList<>();
    stack.linears().forEach(linear -> names.add(linear.quantizedName()));
    names.add(head.quantizedName());
    names.removeIf(Objects::isNull);
    return names;
  }

  SortedMap<String, Parameter> parameters() {
    SortedMap<String, Parameter> all = new TreeMap<>();
    if (adapters != null) {
      adapters.forEachParameter(all::put);
    }
    forEachDense(
        parameter -> {
          if (parameter.isTrainable()) {
            all.put(parameter.name(), parameter.parameter());
          }
        });
    return Collections.unmodifiableSortedMap(all);
  }

  /** Closes the adapters; dense weights belong to the model. */
  @Override
  public void close() {
    removeAdapters();
    scratch.close();
  }
}
