package org.lorakernels.merge;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.MergeKernels.OpposingSigns;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.Weight;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;

/** Adapters, combined one module at a time. */
final class AdapterChange implements ModelChange {
  private static final String WEIGHT = ".weight";
  private static final String HEAD = "lm_head";

  private final List<WeightedAdapter> adapters;
  private final CombineConfig config;
  private final AdapterCombiner combiner;

  AdapterChange(List<WeightedAdapter> adapters, CombineConfig config) {
    this.adapters = adapters;
    this.config = config;
    this.combiner = new AdapterCombiner(adapters, config);
  }

  @Override
  public void requireFits(Checkpoint model) {
    for (String module : combiner.modules()) {
      String weight = module + WEIGHT;
      for (WeightedAdapter adapter : adapters) {
        if (!adapter.adapter().modules().containsKey(module)) {
          continue;
        }
        if (!model.contains(weight)) {
          throw new CheckpointException(
              model.directory(),
              "merge: the adapter "
                  + adapter.adapter().directory()
                  + " changes "
                  + weight
                  + ", but the model has no such weight; take the model that the adapter names: "
                  + adapter.adapter().config().baseModel().orElse("(not named)"));
        }
        long[] shape = model.shape(weight);
        adapter.adapter().requireFits(module, shape[0], shape[1]);
      }
    }
    boolean tied = model.config().findBool("tie_word_embeddings").orElse(false);
    if (tied && combiner.modules().contains(HEAD)) {
      throw new UnsupportedException(
          "merge: an adapter changes "
              + HEAD
              + ", which this model ties to its embeddings, so that the merged head would be lost"
              + " when it is loaded; untie them first (tie_word_embeddings)");
    }
  }

  private static String module(String weight) {
    return weight.endsWith(WEIGHT)
        ? weight.substring(0, weight.length() - WEIGHT.length())
        : weight;
  }

  @Override
  public boolean changes(String weight) {
    return weight.endsWith(WEIGHT) && combiner.modules().contains(module(weight));
  }

  /**
   * What is added to a weight: the combined adapter; one adapter alone, or those that cat would
   * make larger than one adapter can be, keep their A and B, and their scaling is multiplied by the
   * weight: no rounding comes between.
   */
  AdapterSum added(String weight) {
    String module = module(weight);
    if (adapters.size() > 1 && combiner.fitsOneAdapter()) {
      return AdapterSum.of(combiner.combine(module));
    }
    List<LoraAdapter> parts = new ArrayList<>();
    for (WeightedAdapter adapter : adapters) {
      LoraAdapter lora = adapter.adapter().modules().get(module);
      if (lora != null) {
        parts.add(
            LoraAdapter.of(
                lora.config().alpha(lora.config().alpha() * adapter.weight()),
                lora.a().slice(0, lora.rank()),
                lora.b().slice(0, lora.rows())));
      }
    }
    return new AdapterSum(parts);
  }

  @Override
  public Tensor apply(String weight, Weight base, DType out) {
    try (AdapterSum added = added(weight)) {
      return added.mergedInto(base, out);
    } finally {
      combiner.evict();
    }
  }

  @Override
  public Nf4Tensor applyQuantized(String weight, Nf4Tensor base) {
    try (AdapterSum added = added(weight)) {
      return added.quantizedInto(base);
    } finally {
      combiner.evict();
    }
  }

  @Override
  public OpposingSigns opposingSigns(String weight, Weight base) {
    List<LoraAdapter> loras = new ArrayList<>();
    List<Float> weights = new ArrayList<>();
    for (WeightedAdapter adapter : adapters) {
      LoraAdapter lora = adapter.adapter().modules().get(module(weight));
      if (lora != null) {
        loras.add(lora);
        weights.add(adapter.weight());
      }
    }
    float[] values = new float[weights.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = weights.get(i);
    }
    try {
      return SignConflicts.count(loras, values);
    } finally {
      combiner.evict();
    }
  }

  @Override
  public CombineMethod method() {
    return combiner.method();
  }

  @Override
  public List<Path> directories() {
    return adapters.stream().map(adapter -> adapter.adapter().directory()).toList();
  }

  @Override
  public JsonObject describe() {
    JsonArray list = new JsonArray();
    for (WeightedAdapter adapter : adapters) {
      list.add(
          new JsonObject()
              .put("adapter", adapter.adapter().directory().toString())
              .put("weight", (double) adapter.weight()));
    }
    return config.describe().put("method", method().toString()).put("adapters", list);
  }

  /** The adapters are the caller's. */
  @Override
  public void close() {}
}
