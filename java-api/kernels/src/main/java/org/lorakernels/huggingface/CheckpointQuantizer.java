package org.lorakernels.huggingface;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.Nf4Format;
import org.lorakernels.UnsupportedException;

/**
 * Turns a dense checkpoint into a 4-bit one that transformers, PEFT and this library load: with
 * bitsandbytes' layout, transformers' names and its {@code config.json}. One weight is held at a
 * time, so that memory does not bound the size of a checkpoint.
 *
 * <pre>{@code
 * CheckpointQuantizer.of(source).format(Nf4Format.doubleQuantized()).quantize(device, target);
 * }</pre>
 *
 * <p>Quantised are the projections of decoder layers (q, k, v, o, gate, up, down) and what {@link
 * #include} adds. Everything else keeps its element type and bytes, and so do the other files of
 * the directory (tokenizer, generation config). A head that repeats tied embeddings is left out, as
 * transformers leaves it out.
 */
public final class CheckpointQuantizer {
  private final Path source;
  private final List<Pattern> included = new ArrayList<>();
  private Nf4Format format = Nf4Format.plain();
  private DType computeDtype;
  private long maxShardBytes = ModelWriter.DEFAULT_SHARD_BYTES;
  private boolean overwrite;
  private CheckpointProgress progress = (done, total, tensor) -> {};

  private CheckpointQuantizer(Path source) {
    this.source = Objects.requireNonNull(source, "source");
  }

  /** A quantiser of the dense checkpoint in the directory {@code source}. */
  public static CheckpointQuantizer of(Path source) {
    return new CheckpointQuantizer(source);
  }

  /** The format of the quantised weights; default {@link Nf4Format#plain()}. */
  public CheckpointQuantizer format(Nf4Format value) {
    format = Objects.requireNonNull(value, "format");
    return this;
  }

  /**
   * The element type in which loaders shall multiply ({@code bnb_4bit_compute_dtype}), F32, BF16 or
   * F16; default: that of the source's weights.
   */
  public CheckpointQuantizer computeDtype(DType value) {
    if (!value.isFloat()) {
      throw new InvalidArgumentException(
          "CheckpointQuantizer: computeDtype must be F32, BF16 or F16, but is " + value);
    }
    computeDtype = value;
    return this;
  }

  /**
   * Quantises matrices of unknown modules as well.
   *
   * @param names matches a part of the weight's name, for example {@code fc[12]\.weight}
   */
  public CheckpointQuantizer include(Pattern names) {
    included.add(Objects.requireNonNull(names, "names"));
    return this;
  }

  /** The most bytes of one safetensors file, at least 1; default 5 GB. */
  public CheckpointQuantizer maxShardBytes(long value) {
    if (value < 1) {
      throw new InvalidArgumentException(
          "CheckpointQuantizer: maxShardBytes must be at least 1, but is " + value);
    }
    maxShardBytes = value;
    return this;
  }

  /** Whether a target directory with files in it may be replaced; default: no. */
  public CheckpointQuantizer overwrite(boolean value) {
    overwrite = value;
    return this;
  }

  /** Who hears about the progress. */
  public CheckpointQuantizer progress(CheckpointProgress value) {
    progress = Objects.requireNonNull(value, "progress");
    return this;
  }

  /**
   * Quantises. The target appears complete or, if anything fails, not at all.
   *
   * @param device where the weights are quantised
   * @param target a directory that does not exist, is empty, or may be overwritten
   * @throws CheckpointException if the source is malformed or already quantised, has no weight to
   *     quantise, or the target cannot be written
   * @throws UnsupportedException if a weight to be quantised is neither F32, BF16 nor F16
   */
  public QuantizationReport quantize(Device device, Path target) {
    try (QuantizationRun run = new QuantizationRun(this, device)) {
      return run.writeTo(target);
    }
  }

  Path source() {
    return source;
  }

  Nf4Format format() {
    return format;
  }

  /** Null: that of the weights. */
  DType computeDtype() {
    return computeDtype;
  }

  boolean includes(String weight) {
    return included.stream().anyMatch(pattern -> pattern.matcher(weight).find());
  }

  long maxShardBytes() {
    return maxShardBytes;
  }

  boolean overwrites() {
    return overwrite;
  }

  CheckpointProgress progress() {
    return progress;
  }
}
