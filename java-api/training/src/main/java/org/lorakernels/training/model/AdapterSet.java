package org.lorakernels.training.model;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.BiConsumer;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.peft.PeftConfig;

/** The adapters that are on a model's linear layers; owns them. */
final class AdapterSet implements AutoCloseable {
  /** An adapter and where it is; {@code dora} null: plain LoRA. */
  private record Attached(Linear linear, LoraAdapter adapter, Dora dora) {}

  private final Map<String, Attached> modules = new LinkedHashMap<>();
  private final DoraScratch scratch;
  private PeftConfig config; // null: described when it is saved
  private LoraConfig base; // of new adapters

  private AdapterSet(DoraScratch scratch) {
    this.scratch = scratch;
  }

  /** New adapters on the layers that a specification chooses. */
  static AdapterSet create(LoraSpec spec, List<Linear> linears, DoraScratch scratch) {
    List<String> unmatched = spec.unmatched(linears.stream().map(Linear::module).toList());
    if (!unmatched.isEmpty()) {
      throw new InvalidArgumentException(
          "attachLora: "
              + unmatched
              + " name no projection of a decoder layer; those are "
              + WeightNames.PROJECTIONS
              + ", and neither the head nor embeddings can be adapted");
    }
    AdapterSet set = new AdapterSet(scratch);
    set.base = spec.base();
    try {
      for (Linear linear : linears) {
        if (spec.adapts(linear.module())) {
          LoraAdapter adapter = LoraAdapter.create(linear.weight(), spec.of(linear.module()));
          set.attach(linear, adapter, spec.dora(), null);
        }
      }
    } catch (RuntimeException failure) {
      set.close();
      throw failure;
    }
    if (set.modules.isEmpty()) {
      throw new InvalidArgumentException(
          "attachLora: no module is chosen; the model has "
              + linears.size() / WeightNames.PROJECTIONS.size()
              + " layers, counted from 0");
    }
    return set;
  }

  /** Adapters from PEFT's files. */
  static AdapterSet load(
      PeftAdapter loaded,
      Path directory,
      OptionalDouble dropout,
      List<Linear> linears,
      DoraScratch scratch) {
    AdapterSet set = new AdapterSet(scratch);
    float rate = (float) dropout.orElse(loaded.config().dropout());
    set.config = dropout.isPresent() ? loaded.config().withDropout(rate) : loaded.config();
    Map<String, Linear> byModule = new LinkedHashMap<>();
    linears.forEach(linear -> byModule.put(linear.module(), linear));
    try {
      for (String module : loaded.modules().keySet()) {
        Linear linear = byModule.get(module);
        if (linear == null) {
          throw new UnsupportedException(
              "adapter "
                  + directory
                  + ": adapts \""
                  + module
                  + "\", which is no projection of a decoder layer of this model; merge the adapter"
                  + " into its model in PEFT, or train one without it");
        }
        loaded.requireFits(module, linear.weight());
      }
      for (Linear linear : linears) {
        LoraAdapter adapter = loaded.modules().get(linear.module());
        if (adapter != null) {
          Tensor magnitude = loaded.magnitudes().get(linear.module());
          set.attach(linear, copy(adapter, rate), magnitude != null, copy(magnitude));
        }
      }
      return set;
    } catch (RuntimeException failure) {
      set.close();
      throw failure;
    }
  }

  private static LoraAdapter copy(LoraAdapter adapter, float dropout) {
    Tensor a = adapter.a().copy();
    try {
      return LoraAdapter.of(adapter.config().dropout(dropout), a, adapter.b().copy());
    } catch (RuntimeException failure) {
      a.close();
      throw failure;
    }
  }

  private static Tensor copy(Tensor tensor) {
    return tensor == null ? null : tensor.copy();
  }

  private void attach(Linear linear, LoraAdapter adapter, boolean withDora, Tensor magnitude) {
    try {
      Dora dora = withDora ? new Dora(magnitude, linear.weight(), adapter, scratch) : null;
      linear.adapt(adapter, dora);
      modules.put(linear.module(), new Attached(linear, adapter, dora));
    } catch (RuntimeException failure) {
      adapter.close();
      throw failure;
    }
  }

  /** Tells the name of every parameter, sorted neither by name nor by size. */
  void forEachParameter(BiConsumer<String, Parameter> visitor) {
    modules.forEach(
        (module, attached) -> {
          for (Parameter part : attached.adapter.parameters()) {
            String name = module + "." + part.name() + WeightNames.WEIGHT;
            visitor.accept(name, new Parameter(name, part.value(), part.gradient()));
          }
          if (attached.dora != null) {
            String name = module + PeftAdapter.MAGNITUDE;
            visitor.accept(name, attached.dora.parameter(name));
          }
        });
  }

  /** Switches dropout on or off. */
  void training(boolean on) {
    modules.values().forEach(attached -> attached.adapter.training(on));
  }

  /** Chooses the dropout masks. */
  void dropoutStep(long step) {
    modules.values().forEach(attached -> attached.adapter.dropoutStep(step));
  }

  /** Brings the norms of DoRA up to date with the adapters. */
  void refresh() {
    for (Attached attached : modules.values()) {
      if (attached.dora != null) {
        attached.dora.refresh(attached.linear.weight(), attached.adapter);
      }
    }
  }

  /**
   * Writes PEFT's files.
   *
   * @param baseModel the name or path of the base, for new adapters; loaded ones keep what they
   *     have
   */
  void save(Path directory, List<Linear> linears, String baseModel) {
    Map<String, LoraAdapter> adapters = new LinkedHashMap<>();
    Map<String, Tensor> magnitudes = new LinkedHashMap<>();
    modules.forEach(
        (module, attached) -> {
          adapters.put(module, attached.adapter);
          if (attached.dora != null) {
            magnitudes.put(module, attached.dora.magnitude());
          }
        });
    PeftConfig described = config != null ? config : describe(linears).withBaseModel(baseModel);
    PeftAdapter.save(directory, described, adapters, magnitudes);
  }

  /** PEFT's files have one dropout and one rsLoRA; other scalings become another alpha. */
  private PeftConfig describe(List<Linear> linears) {
    Map<String, LoraConfig> hyperparameters = new LinkedHashMap<>();
    boolean dora = false;
    for (Map.Entry<String, Attached> entry : modules.entrySet()) {
      LoraConfig own = entry.getValue().adapter.config();
      float alpha = own.alpha();
      if (own.rsLora() != base.rsLora()) {
        double root = Math.sqrt(own.rank());
        alpha = (float) (own.rsLora() ? own.alpha() * root : own.alpha() / root);
      }
      hyperparameters.put(
          entry.getKey(),
          LoraConfig.rank(own.rank()).alpha(alpha).dropout(base.dropout()).rsLora(base.rsLora()));
      dora |= entry.getValue().dora != null;
    }
    return PeftConfig.describing(hyperparameters, linears.stream().map(Linear::module).toList())
        .withDora(dora);
  }

  @Override
  public void close() {
    for (Attached attached : modules.values()) {
      attached.linear.release();
      attached.adapter.close();
      if (attached.dora != null) {
        attached.dora.close();
      }
    }
    modules.clear();
  }
}
