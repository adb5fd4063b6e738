package org.lorakernels.merge;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.MergeKernels.OpposingSigns;
import org.lorakernels.Nf4Format;
import org.lorakernels.ShapeMismatchException;
import org.lorakernels.UnsupportedException;
import org.lorakernels.huggingface.CheckpointProgress;
import org.lorakernels.huggingface.ModelWriter;

/**
 * Merges adapters, or fine-tuned models, into a checkpoint that transformers and this library load.
 * One weight is held at a time; the model is mapped, not read. The target appears complete or not
 * at all; an interrupted merge, run again, goes on with the shard where it stopped.
 *
 * <pre>{@code
 * CheckpointMerger.of(model).adapters(List.of(new WeightedAdapter(adapter, 1)), CombineConfig.of(LINEAR))
 *     .merge(device, target);
 * }</pre>
 *
 * <p>A dense model stays dense. A 4-bit model is dequantised, added to and quantised again, unless
 * {@link #outDtype} makes it dense; weights that are not changed are carried along bit for bit.
 * {@code lora_kernels_merge.json} in the target records what was merged onto what.
 */
public final class CheckpointMerger {
  /** The file in the target that records what was merged. */
  public static final String RECORD = "lora_kernels_merge.json";

  private final Path model;
  private List<WeightedAdapter> adapters = List.of();
  private List<WeightedModel> models = List.of();
  private CombineConfig config;
  private MergeBase base; // null: what the model is
  private Nf4Format quantization = Nf4Format.plain();
  private DType outDtype; // null: as the model
  private long maxShardBytes = ModelWriter.DEFAULT_SHARD_BYTES;
  private boolean overwrite;
  private CheckpointProgress progress = (done, total, tensor) -> {};

  private CheckpointMerger(Path model) {
    this.model = Objects.requireNonNull(model, "model");
  }

  /** A merger into the checkpoint in the directory {@code model}, dense or in 4 bits. */
  public static CheckpointMerger of(Path model) {
    return new CheckpointMerger(model);
  }

  /**
   * Merges adapters. A single one is merged as it is, times its weight.
   *
   * @param list at least one; stay the caller's, and open until the merge has ended
   * @param how method and parameters
   */
  public CheckpointMerger adapters(List<WeightedAdapter> list, CombineConfig how) {
    adapters = List.copyOf(list);
    models = List.of();
    config = Objects.requireNonNull(how, "how");
    return this;
  }

  /**
   * Merges the differences of fine-tuned models from the model, all weights of which are F32, BF16
   * or F16.
   *
   * @param list at least one; for slerp one
   * @param how method and parameters; not cat, nor a method with svd
   */
  public CheckpointMerger models(List<WeightedModel> list, CombineConfig how) {
    models = List.copyOf(list);
    adapters = List.of();
    config = Objects.requireNonNull(how, "how");
    return this;
  }

  /**
   * What adapters are added to; default: dequantised weights for a 4-bit model, otherwise the
   * original ones. A dense model can have both, a 4-bit model only the first.
   */
  public CheckpointMerger onto(MergeBase value) {
    base = value;
    return this;
  }

  /**
   * How the weights of a dense model were quantised in training, for {@link MergeBase#DEQUANTIZED};
   * default: NF4, blocks of 64, not double-quantised.
   */
  public CheckpointMerger quantization(Nf4Format value) {
    quantization = Objects.requireNonNull(value, "value");
    return this;
  }

  /**
   * Makes all float weights of the result dense in one dtype; default: as the model stores them.
   *
   * @param value F32, BF16 or F16; null: the default
   */
  public CheckpointMerger outDtype(DType value) {
    if (value != null && !value.isFloat()) {
      throw new InvalidArgumentException(
          "CheckpointMerger: outDtype must be F32, BF16 or F16, but is " + value);
    }
    outDtype = value;
    return this;
  }

  /** The most bytes of one safetensors file, at least 1; default 5 GB. */
  public CheckpointMerger maxShardBytes(long value) {
    maxShardBytes = value;
    return this;
  }

  /** Whether a target directory with files in it may be replaced; default: no. */
  public CheckpointMerger overwrite(boolean value) {
    overwrite = value;
    return this;
  }

  /** Who hears about the progress. */
  public CheckpointMerger progress(CheckpointProgress value) {
    progress = Objects.requireNonNull(value, "progress");
    return this;
  }

  /**
   * Merges.
   *
   * @param device a CPU device
   * @param target a directory that does not exist, is empty, or may be overwritten
   * @throws CheckpointException if the model is malformed, lacks a weight, or the target cannot be
   *     written
   * @throws ShapeMismatchException for adapters of another model
   * @throws UnsupportedException for a base that the model cannot give
   */
  public MergeReport merge(Device device, Path target) {
    try (MergeRun run = new MergeRun(this, device)) {
      return run.writeTo(target);
    }
  }

  /** What {@link #merge} would do; fails where that would fail before writing. */
  public MergePlan plan(Device device) {
    try (MergeRun run = new MergeRun(this, device)) {
      return run.plan();
    }
  }

  /** Hears how much the parts of a change oppose one another in a weight. */
  @FunctionalInterface
  public interface SignListener {
    /** The counts of one weight. */
    void opposing(String weight, OpposingSigns signs);
  }

  /** Counts opposing signs of adapters or models in every weight that would change. */
  public void opposingSigns(Device device, SignListener listener) {
    try (MergeRun run = new MergeRun(this, device)) {
      run.opposingSigns(listener);
    }
  }

  /**
   * What the result computes, against base and adapter: measured on random inputs, for a sample of
   * the weights and for every base that the model can give.
   *
   * @param weights how many weights at most
   */
  public List<MergeError> errors(Device device, int weights) {
    try (MergeRun run = new MergeRun(this, device)) {
      return run.errors(weights);
    }
  }

  Path model() {
    return model;
  }

  ModelChange change(Device device) {
    if (config == null) {
      throw new InvalidArgumentException(
          "merge: nothing to merge; give adapters or models with a method");
    }
    return models.isEmpty()
        ? new AdapterChange(adapters, config)
        : new DifferenceChange(device, models, config);
  }

  boolean mergesAdapters() {
    return models.isEmpty();
  }

  Optional<MergeBase> base() {
    return Optional.ofNullable(base);
  }

  Nf4Format quantization() {
    return quantization;
  }

  Optional<DType> outDtype() {
    return Optional.ofNullable(outDtype);
  }

  ModelWriter writer() {
    return new ModelWriter(model)
        .maxShardBytes(maxShardBytes)
        .overwrite(overwrite)
        .progress(progress);
  }

  long maxShardBytes() {
    return maxShardBytes;
  }
}
