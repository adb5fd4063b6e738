package org.lorakernels.training.memory;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.lorakernels.AdamWConfig;
import org.lorakernels.DType;
import org.lorakernels.LoraConfig;
import org.lorakernels.Nf4Format;
import org.lorakernels.training.model.ActivationMemory;
import org.lorakernels.training.model.LoadOptions;
import org.lorakernels.training.model.LoraSpec;
import org.lorakernels.training.model.ModelConfig;

/**
 * States what a run will need from {@code config.json} and the headers of the weights alone, and
 * which settings would make it fit.
 */
public final class MemoryPlanner {
  /** F32 numbers of a row of DoRA: magnitude, gradient, norm, 1 / norm, factor, sum. */
  private static final int DORA_NUMBERS = 6;

  /** The most that the loss takes for slices of logits; see {@code lk_cross_entropy}. */
  private static final long LOGITS = 16L << 20;

  /** What one matmul or LoRA operation takes; see {@code lora_kernels.h}. */
  private static final long OPERATION = 2L << 20;

  /** The Java machine with classes, compiled code and a small heap. Measured: bench/RESULTS.md. */
  private static final long RUNTIME = 88L << 20;

  /** A tokenizer, its library, and what is left of its work. Measured as well. */
  private static final long TOKENIZER = 25L << 20;

  private final ModelConfig model;
  private final Map<String, long[]> shapes;
  private final StoredWeights stored;

  /**
   * A planner for a checkpoint.
   *
   * @param directory with {@code config.json} and weights, of which headers are read
   */
  public MemoryPlanner(Path directory) {
    model = ModelConfig.read(directory);
    shapes = model.shapes();
    stored = new StoredWeights(directory);
  }

  /** The plan of a run. */
  public MemoryPlan plan(MemorySettings settings) {
    AdamWConfig adamW = AdamWConfig.defaults().stateType(settings.optimizer().stateType());
    long states = 0;
    long trainable = 0;
    long weights = 0;
    for (Map.Entry<String, long[]> entry : shapes.entrySet()) {
      String name = entry.getKey();
      if (settings.lora() == null) {
        states += adamW.stateBytes(elements(entry.getValue()), DType.F32);
        trainable += elements(entry.getValue()) * 2 * Float.BYTES; // the F32 copy and its gradient
        continue;
      }
      weights += heldBytes(name, entry.getValue(), settings.load());
      if (isProjection(name, entry.getValue()) && settings.lora().adapts(module(name))) {
        LoraConfig adapter = settings.lora().of(module(name));
        for (long size : entry.getValue()) { // B has rows of the weight, A its columns
          long numbers = adapter.rank() * size;
          states += adamW.stateBytes(numbers, adapter.dtype());
          trainable += numbers * (adapter.dtype().bytes() + Float.BYTES);
        }
        if (settings.lora().dora()) {
          states += adamW.stateBytes(entry.getValue()[0], DType.F32);
          trainable += entry.getValue()[0] * DORA_NUMBERS * Float.BYTES;
        }
      }
    }
    DType compute = settings.load().computeDtype().orElse(embeddingDtype(settings.load()));
    long activations =
        ActivationMemory.training(model, compute, settings.checkpointing(), settings.tokens());
    if (settings.evaluates()) {
      activations += ActivationMemory.evaluation(model, compute, settings.tokens());
    }
    if (settings.lora() != null && settings.lora().dora()) {
      activations += doraScratch(settings.lora()) * settings.tokens() * compute.bytes();
    }
    return new MemoryPlan(
        weights,
        trainable,
        settings.optimizer().budget(states),
        activations,
        workspace(settings.tokens()),
        RUNTIME + (settings.text() ? TOKENIZER : 0));
  }

  /** Elements a token of what DoRA computes in, which all its layers share. */
  private long doraScratch(LoraSpec lora) {
    long out = 0;
    long in = 0;
    for (Map.Entry<String, long[]> entry : shapes.entrySet()) {
      long[] shape = entry.getValue();
      if (isProjection(entry.getKey(), shape) && lora.adapts(module(entry.getKey()))) {
        out = Math.max(out, shape[0]);
        in = Math.max(in, shape[1]);
      }
    }
    return lora.base().dropout() > 0 ? out + 2 * in + Math.max(in, out) : out;
  }

  private DType embeddingDtype(LoadOptions load) {
    return load.held(stored.dtype("model.embed_tokens.weight"));
  }

  private long workspace(long tokens) {
    long row = (long) model.vocabularySize() * Float.BYTES;
    return OPERATION + Math.max(row, Math.min(LOGITS, tokens * row));
  }

  /** Matrices inside decoder layers: what 4 bits and adapters are for. */
  private static boolean isProjection(String name, long[] shape) {
    return shape.length == 2 && name.startsWith("model.layers.");
  }

  private static String module(String weight) {
    return weight.substring(0, weight.lastIndexOf('.'));
  }

  private static long elements(long[] shape) {
    long product = 1;
    for (long size : shape) {
      product *= size;
    }
    return product;
  }

  private long heldBytes(String name, long[] shape, LoadOptions load) {
    boolean asStored = load.bits().isEmpty();
    boolean fourBits = load.bits().orElse(0) == 4;
    if (stored.isQuantized(name) && (asStored || fourBits)) {
      return stored.bytes(name);
    }
    if (fourBits && isProjection(name, shape)) {
      return nf4Bytes(elements(shape), load.format());
    }
    DType dtype = stored.isQuantized(name) ? DType.F32 : stored.dtype(name);
    return elements(shape) * load.held(dtype).bytes();
  }

  private static long nf4Bytes(long elements, Nf4Format format) {
    long blocks = (elements - 1) / format.blockSize() + 1;
    long codes = (elements + 1) / 2;
    if (!format.isDoubleQuantized()) {
      return codes + blocks * Float.BYTES;
    }
    long nested = (blocks - 1) / Nf4Format.NESTED_BLOCK_SIZE + 1;
    return codes + blocks + nested * Float.BYTES;
  }

  /**
   * Changes of settings after which a run fits, the most harmless first; each leaves the rest as it
   * is, but for the last, which takes all together.
   *
   * @param settings that do not fit
   * @param available bytes that the whole process may take
   * @return empty where nothing would do
   */
  public List<Suggestion> suggestions(MemorySettings settings, long available) {
    List<Suggestion> fitting = new ArrayList<>();
    for (Suggestion suggestion : Suggestion.all(this, settings)) {
      if (suggestion.plan().total() <= available) {
        fitting.add(suggestion);
      }
    }
    return fitting;
  }

  /**
   * The plan of a run that fits.
   *
   * @param available bytes that the whole process may take
   * @throws DoesNotFitException if it needs more, with the settings that would fit
   */
  public MemoryPlan require(MemorySettings settings, long available) {
    MemoryPlan plan = plan(settings);
    if (plan.total() > available) {
      throw new DoesNotFitException(plan, available, suggestions(settings, available));
    }
    return plan;
  }
}
