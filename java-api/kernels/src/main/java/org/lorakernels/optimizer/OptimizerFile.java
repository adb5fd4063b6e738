package org.lorakernels.optimizer;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.PagedAdamW;
import org.lorakernels.StateTensor;
import org.lorakernels.Tensor;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsFile;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorSpec;

/**
 * The states of optimisers as a safetensors file: plain tensors by the names of their parameters
 * ({@link StateTensor#name}), and the steps taken as metadata. It does not depend on page size,
 * budgets or backend, and an optimiser that reads it goes on to the same bits. Neither direction
 * holds more than a buffer in memory.
 */
public final class OptimizerFile {
  /** The key of the metadata under which the steps taken stand. */
  public static final String STEPS = "steps";

  private static final int CHUNK = 1 << 20;

  private OptimizerFile() {}

  /**
   * Writes a file.
   *
   * @param path its name; it appears whole or not at all
   * @param optimizers of parameters with different names, that took equally many steps
   * @throws CheckpointException if the disk is full or fails
   */
  public static void write(Path path, List<PagedAdamW> optimizers) {
    long steps = steps(optimizers);
    List<TensorSpec> specs = new ArrayList<>();
    List<StateTensor> states = states(optimizers);
    for (StateTensor state : states) {
      specs.add(spec(state));
    }
    Map<String, String> metadata = new HashMap<>(SafetensorsWriter.PYTORCH);
    metadata.put(STEPS, Long.toString(steps));
    ByteBuffer buffer = ByteBuffer.allocateDirect(CHUNK).order(ByteOrder.nativeOrder());
    try (SafetensorsWriter writer = SafetensorsWriter.create(path, metadata, specs)) {
      for (StateTensor state : states) {
        long bytes = state.byteSize();
        for (long from = 0; from < bytes; from += CHUNK) {
          state.copyTo(from, buffer.clear().limit((int) Math.min(CHUNK, bytes - from)));
          writer.write(state.name(), from, buffer.flip());
        }
      }
      writer.commit();
    }
  }

  private static long steps(List<PagedAdamW> optimizers) {
    long[] steps = optimizers.stream().mapToLong(PagedAdamW::stepCount).distinct().toArray();
    if (steps.length > 1) {
      throw new InvalidArgumentException(
          "OptimizerFile: optimisers of one file must have taken equally many steps, but took "
              + Arrays.toString(steps));
    }
    return steps.length == 0 ? 0 : steps[0];
  }

  private static List<StateTensor> states(List<PagedAdamW> optimizers) {
    List<StateTensor> states = new ArrayList<>();
    optimizers.forEach(optimizer -> states.addAll(optimizer.states()));
    return states;
  }

  private static TensorSpec spec(StateTensor state) {
    return new TensorSpec(
        state.name(), SafetensorsDtype.valueOf(state.dtype().name()), state.shape());
  }

  /**
   * Replaces all states of optimisers by those of a file.
   *
   * @param path written by {@link #write}
   * @param optimizers together with exactly the parameters of the file; nothing is replaced where
   *     that is not so
   * @throws CheckpointException if the file is missing, malformed, or of other parameters
   */
  public static void read(Path path, List<PagedAdamW> optimizers) {
    try (SafetensorsFile file = SafetensorsFile.open(path);
        Device host = Device.cpu()) {
      long steps = steps(path, file);
      Set<String> unknown = new HashSet<>(file.names());
      for (StateTensor state : states(optimizers)) {
        require(path, file, state);
        unknown.remove(state.name());
      }
      if (!unknown.isEmpty()) {
        throw differs(path, unknown.iterator().next(), "is not trained in this run");
      }
      for (PagedAdamW optimizer : optimizers) {
        importStates(file, host, optimizer, steps);
      }
    }
  }

  private static void importStates(
      SafetensorsFile file, Device host, PagedAdamW optimizer, long steps) {
    Map<String, Tensor> values = new HashMap<>();
    try {
      for (StateTensor state : optimizer.states()) {
        values.put(state.name(), file.tensor(host, state.name()));
      }
      optimizer.importStates(steps, values);
    } finally {
      values.values().forEach(Tensor::close);
    }
  }

  private static long steps(Path path, SafetensorsFile file) {
    String text = file.metadata().get(STEPS);
    if (text == null || !text.matches("\\d{1,18}")) {
      throw new CheckpointException(
          path,
          "optimiser states: the metadata must say how many \"steps\" were taken, but says "
              + text
              + ": it was written by another program or an earlier version; start the run again");
    }
    return Long.parseLong(text);
  }

  private static void require(Path path, SafetensorsFile file, StateTensor state) {
    if (!file.contains(state.name())) {
      throw differs(path, state.name(), "is trained in this run, but not there");
    }
    TensorSpec found = file.info(state.name()).spec();
    if (!found.equals(spec(state))) {
      throw differs(path, state.name(), "is " + kind(found) + ", but here " + kind(spec(state)));
    }
  }

  private static String kind(TensorSpec spec) {
    return spec.dtype() + " " + Arrays.toString(spec.shape());
  }

  private static CheckpointException differs(Path path, String name, String how) {
    return new CheckpointException(
        path,
        "optimiser states: \""
            + name
            + "\" "
            + how
            + ": they are of a run with other adapters, another model or another kind of states;"
            + " resume with the options that the run was started with");
  }
}
