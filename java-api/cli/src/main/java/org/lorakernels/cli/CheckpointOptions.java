package org.lorakernels.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.training.data.Tokenizer;
import org.lorakernels.training.data.Tokenizers;
import org.lorakernels.training.model.CausalLm;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Which model, with which adapter, for commands that use one as it is. */
final class CheckpointOptions {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "Directory of the checkpoint, in Hugging Face's layout.")
  private Path model;

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "Directory of a PEFT adapter to put on it.")
  private Path adapter;

  @Mixin private ModelOptions weights;

  /** Where the checkpoint is. */
  Path directory() {
    return model;
  }

  /** The model with its adapter; to be closed by the caller. */
  CausalLm load(Device device) {
    CausalLm loaded = CausalLm.load(device, model, weights.load());
    try {
      if (adapter != null) {
        loaded.loadAdapter(adapter);
      }
      return loaded;
    } catch (RuntimeException failure) {
      loaded.close();
      throw failure;
    }
  }

  /** Whether the model has a tokenizer. */
  boolean hasTokenizer() {
    return Files.isRegularFile(model.resolve("tokenizer.json"));
  }

  /**
   * The model's tokenizer; to be closed by the caller.
   *
   * @throws CheckpointException if there is none
   */
  Tokenizer tokenizer() {
    return Tokenizers.load(model);
  }
}
