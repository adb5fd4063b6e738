package org.lorakernels.training.model;

import java.nio.file.Path;
import java.util.List;
import java.util.OptionalDouble;
import java.util.SortedMap;
import java.util.function.Predicate;
import org.lorakernels.CheckpointException;
import org.lorakernels.ClosedException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.huggingface.Checkpoint;
import org.lorakernels.training.data.Batch;

/**
 * A decoder-only language model: loss, gradients of what is trainable, generation.
 *
 * <pre>{@code
 * try (CausalLm model = CausalLm.load(device, directory, LoadOptions.asStored().bits(4))) {
 *   model.attachLora(LoraSpec.rank(16).alpha(32));
 *   model.training(true);
 *   double loss = model.lossAndGradients(batch, 1f / batch.labelledTokens());
 *   // step an optimiser over model.parameters().values()
 * }
 * }</pre>
 *
 * <p>Nothing is trainable at first. The base weights never have gradients unless {@link
 * #trainDense} named them. Memory for activations grows to the largest batch and is used again; a
 * step on a batch of at most that size allocates none. Used by one thread at a time.
 */
public final class CausalLm implements AutoCloseable {
  private final Device device;
  private final Path directory;
  private final ModelConfig config;
  private final LoadOptions options;
  private final ModelLoader.Parts parts;
  private final Trainables trainables;
  private final Pass pass;
  private final Tape evaluation;
  private Tape tape; // of training; null before the first step
  private boolean checkpointing;
  private boolean open = true;

  private CausalLm(
      Device device,
      Path directory,
      ModelConfig config,
      LoadOptions options,
      ModelLoader.Parts parts) {
    this.device = device;
    this.directory = directory;
    this.config = config;
    this.options = options;
    this.parts = parts;
    trainables = new Trainables(device, parts);
    pass = new Pass(device);
    evaluation = new Tape(device, config, parts.computeDtype(), Tape.Mode.NONE);
  }

  /**
   * Loads a checkpoint.
   *
   * @param device where; must stay open as long as the model is
   * @param directory with {@code config.json} and safetensors, dense or in bitsandbytes' 4 bits
   * @param options how weights are held
   * @throws CheckpointException if a file is missing or malformed, or weights do not fit the
   *     configuration
   * @throws UnsupportedException if the architecture is not known; the message names it
   */
  public static CausalLm load(Device device, Path directory, LoadOptions options) {
    ModelConfig config = ModelConfig.read(directory);
    try (Checkpoint checkpoint = Checkpoint.open(device, directory)) {
      ModelLoader.Parts parts = new ModelLoader(device, checkpoint, config, options).load();
      return new CausalLm(device, directory, config, options, parts);
    }
  }

  /** What the model is made of. */
  public ModelConfig config() {
    return config;
  }

  /** Where it is. */
  public Device device() {
    return device;
  }

  /** The checkpoint that it was loaded from. */
  public Path directory() {
    return directory;
  }

  /** How its weights are held. */
  public LoadOptions options() {
    return options;
  }

  /** Type of activations. */
  public DType computeDtype() {
    return parts.computeDtype();
  }

  // ---- what is trainable

  /**
   * Puts new adapters on, in place of those that are there. They change nothing until they are
   * trained.
   *
   * @throws InvalidArgumentException if no module is chosen
   */
  public void attachLora(LoraSpec spec) {
    requireOpen("attachLora");
    trainables.attach(spec);
  }

  /**
   * Puts an adapter in PEFT's format on, in place of those that are there (which are gone also
   * where this fails); it can be trained further.
   *
   * @param adapter directory with {@code adapter_config.json} and {@code adapter_model.safetensors}
   * @throws CheckpointException if a file is missing or malformed
   * @throws LoraKernelsException if it does not fit the model
   */
  public void loadAdapter(Path adapter) {
    loadAdapter(adapter, OptionalDouble.empty());
  }

  /**
   * {@link #loadAdapter(Path)} with another dropout.
   *
   * @param dropout probability of dropping, in [0, 1); empty: the adapter's own
   */
  public void loadAdapter(Path adapter, OptionalDouble dropout) {
    requireOpen("loadAdapter");
    trainables.load(adapter, dropout);
  }

  /** Takes adapters off; nothing happens where there are none. */
  public void removeAdapters() {
    trainables.removeAdapters();
  }

  /**
   * Saves the adapters as PEFT does: its file names, keys and element types; each file appears
   * whole or not at all. New adapters name {@link #directory()} as their base, loaded ones keep
   * theirs.
   *
   * @param target directory, made where it does not exist
   * @throws InvalidArgumentException if there are none
   * @throws CheckpointException if it cannot be written
   */
  public void saveAdapter(Path target) {
    requireOpen("saveAdapter");
    trainables.saveAdapters(target, directory.toString());
  }

  /**
   * Makes dense weights trainable: embedding, norms, biases, projections, head. They become F32
   * copies; a tied head and the embedding share one gradient.
   *
   * @param names chooses them by transformers' names ({@code model.norm.weight})
   * @throws UnsupportedException if a chosen weight is in 4 bits
   * @throws InvalidArgumentException if none is chosen
   */
  public void trainDense(Predicate<String> names) {
    requireOpen("trainDense");
    trainables.trainDense(names);
  }

  /**
   * What is trainable, by name: {@code MODULE.lora_A.weight}, {@code MODULE.lora_B.weight}, {@code
   * MODULE.lora_magnitude_vector}, and the names of dense weights. Values and gradients belong to
   * the model; the map is read-only and is not updated.
   */
  public SortedMap<String, Parameter> parameters() {
    requireOpen("parameters");
    return trainables.parameters();
  }

  // ---- how it computes

  /** Switches dropout of adapters on (training) or off (the default). */
  public void training(boolean on) {
    trainables.training(on);
  }

  /** Chooses the dropout masks of the next passes: another step, another mask. */
  public void dropoutStep(long step) {
    trainables.dropoutStep(step);
  }

  /**
   * Whether gradients are computed from the inputs of layers alone, computing the rest again: about
   * a third more time, and activations of one layer instead of all. Default: no. The result is the
   * same to the last bit.
   */
  public void checkpointing(boolean on) {
    checkpointing = on;
  }

  // ---- passes

  /**
   * The sum of the losses of labelled tokens, each times its weight in the batch.
   *
   * @throws InvalidArgumentException if an id or a label is not in the vocabulary
   */
  public double loss(Batch batch) {
    evaluate("loss", batch, false);
    return Labels.weightedSum(batch, parts.head().losses());
  }

  /**
   * The same as {@link #loss}; the gradients of {@code gradientScale} times this sum are added to
   * those of the {@link #parameters}.
   *
   * @param gradientScale for the mean, 1 / labelled tokens of all batches of a step
   * @throws InvalidArgumentException if nothing is trainable
   */
  public double lossAndGradients(Batch batch, float gradientScale) {
    requireOpen("lossAndGradients");
    if (trainables.parameters().isEmpty()) {
      throw new InvalidArgumentException(
          "lossAndGradients: nothing is trainable; call attachLora, loadAdapter or trainDense");
    }
    Tape used = trainingTape();
    trainables.refresh();
    pass.set(batch);
    Tensor hidden = parts.stack().forward(pass, used);
    Tensor gradient = parts.scratch().gradient();
    parts.head().lossAndGradient(pass, hidden, gradientScale, gradient);
    parts.stack().backward(pass, used, gradient);
    return Labels.weightedSum(batch, parts.head().losses());
  }

  /** The tape of training, in the mode that is asked for now. */
  private Tape trainingTape() {
    Tape.Mode mode = checkpointing ? Tape.Mode.LAYER_INPUTS : Tape.Mode.ALL;
    if (tape != null && tape.mode() != mode) {
      tape.close();
      tape = null;
    }
    if (tape == null) {
      tape = new Tape(device, config, computeDtype(), mode);
    }
    return tape;
  }

  /**
   * The loss of each token: -log of the probability of its label after the tokens before it.
   *
   * @return [tokens]; 0 where there is no label, and at the start of sequences
   */
  public float[] tokenLosses(Batch batch) {
    evaluate("tokenLosses", batch, false);
    return Labels.losses(batch, parts.head().losses());
  }

  /**
   * The most probable token at each labelled position, given the tokens before it.
   *
   * @return [tokens]; -1 where there is no label, and at the start of sequences
   */
  public int[] predictions(Batch batch) {
    evaluate("predictions", batch, true);
    return Labels.predictions(batch, parts.head().predictions());
  }

  /**
   * All logits. For tests and small models: they take tokens * vocabulary values.
   *
   * @return [tokens, vocabulary], row-major; row i is about the token after token i
   */
  public float[] logits(Batch batch) {
    requireOpen("logits");
    trainables.refresh();
    pass.set(batch);
    Tensor hidden = parts.stack().forward(pass, evaluation);
    try (Tensor logits = parts.head().logits(hidden, parts.scratch().normed())) {
      return logits.toFloatArray();
    }
  }

  private void evaluate(String operation, Batch batch, boolean wantPredictions) {
    requireOpen(operation);
    trainables.refresh();
    pass.set(batch);
    parts.head().loss(pass, parts.stack().forward(pass, evaluation), wantPredictions);
  }

  // ---- generation

  /**
   * A decoder of one sequence, with keys and values of what it has seen.
   *
   * @param capacity the most tokens that it can see
   * @return to be closed by the caller, before the model
   */
  public Decoder decoder(int capacity) {
    requireOpen("decoder");
    if (capacity < 1) {
      throw new InvalidArgumentException(
          "decoder: capacity must be at least 1, but is " + capacity);
    }
    trainables.refresh();
    return new Decoder(this, capacity);
  }

  /** The logits after the last token of a pass, [vocabulary], without dropout. */
  float[] lastLogits(Pass decoding, Tape decoded) {
    requireOpen("decoder");
    return trainables.withoutDropout(
        () -> {
          Tensor hidden = parts.stack().forward(decoding, decoded);
          long tokens = decoding.tokens();
          try (Tensor last = hidden.slice(tokens - 1, tokens);
              Tensor normed = parts.scratch().normed().slice(0, 1);
              Tensor logits = parts.head().logits(last, normed)) {
            return logits.toFloatArray();
          }
        });
  }

  // ---- the end

  /**
   * Saves all weights, trained or not, as a checkpoint that transformers loads: each in the element
   * type of the checkpoint that was loaded, whose other files are copied. For full fine-tuning;
   * adapters are not part of it.
   *
   * @param target appears complete or not at all
   * @param overwrite whether a directory with files in it may be replaced
   * @throws UnsupportedException if weights are in 4 bits
   * @throws CheckpointException if it cannot be written
   */
  public void saveModel(Path target, boolean overwrite) {
    requireOpen("saveModel");
    ModelWriter.write(directory, trainables.allDense(), target, overwrite);
  }

  private void requireOpen(String operation) {
    if (!open) {
      throw new ClosedException(operation + ": the model is closed; use it before close()");
    }
  }

  /** Releases weights, adapters and memory for activations; may be called again. */
  @Override
  public void close() {
    if (!open) {
      return;
    }
    open = false;
    trainables.close();
    pass.close();
    evaluation.close();
    if (tape != null) {
      tape.close();
    }
    closeAll(parts.owned());
  }

  /** Closes parts, the last first. */
  static void closeAll(List<Resource> owned) {
    for (int i = owned.size() - 1; i >= 0; i--) {
      owned.get(i).close();
    }
  }
}
