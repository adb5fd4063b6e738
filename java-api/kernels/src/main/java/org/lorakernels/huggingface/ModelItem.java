package org.lorakernels.huggingface;

import java.util.List;
import java.util.function.Supplier;
import org.lorakernels.DType;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorInfo;
import org.lorakernels.safetensors.TensorSpec;

/**
 * A weight of a checkpoint that is written, made only while it is written: dense, in 4 bits, or
 * carried along from another checkpoint.
 */
public abstract sealed class ModelItem {
  private static final int COPY_BYTES = 8 << 20;

  private final String name;
  private final long sourceBytes;

  private ModelItem(String name, long sourceBytes) {
    this.name = name;
    this.sourceBytes = sourceBytes;
  }

  /**
   * A weight of another checkpoint as it is: tensors of any element type that stay in one file.
   *
   * @param store stays open until they are written
   * @param tensors the weight itself, then what is stored beside it
   */
  static ModelItem carried(SafetensorsStore store, List<TensorInfo> tensors) {
    return new Carried(store, tensors);
  }

  /**
   * A dense weight.
   *
   * @param name its name
   * @param dtype F32, BF16 or F16
   * @param shape its dimensions
   * @param sourceBytes what it counts for in the progress
   * @param weight makes it, of that dtype and shape; closed once it is written
   */
  public static ModelItem dense(
      String name, DType dtype, long[] shape, long sourceBytes, Supplier<Tensor> weight) {
    return new Dense(new TensorSpec(name, SafetensorsDtype.of(dtype), shape), sourceBytes, weight);
  }

  /**
   * A weight in 4 bits, in bitsandbytes' layout.
   *
   * @param name its name
   * @param sourceDtype dtype before quantisation
   * @param shape [rows, cols]
   * @param format how it is stored
   * @param sourceBytes what it counts for in the progress; twice where it is double-quantised
   * @param weight makes it, the same every time; a double-quantised weight is made twice: its
   *     description, which stands before its data, contains a number of it. Closed afterwards
   */
  public static ModelItem fourBit(
      String name,
      DType sourceDtype,
      long[] shape,
      Nf4Format format,
      long sourceBytes,
      Supplier<Nf4Tensor> weight) {
    return new FourBit(name, sourceDtype, shape, format, sourceBytes, weight);
  }

  /** The weight's name. */
  public final String name() {
    return name;
  }

  /** What it counts for in the progress. */
  final long sourceBytes() {
    return sourceBytes;
  }

  /** How many times it is made, each of which counts in the progress. */
  int passes() {
    return 1;
  }

  /** At least the bytes of its tensors, known without making it. */
  abstract long plannedBytes();

  /** The tensors that it becomes. {@code made} runs after the weight was made for this alone. */
  abstract List<TensorSpec> prepare(Runnable made);

  /** Writes the tensors that {@link #prepare} gave. */
  abstract void write(SafetensorsWriter writer);

  private static final class Carried extends ModelItem {
    private final SafetensorsStore store;
    private final List<TensorInfo> tensors;

    Carried(SafetensorsStore store, List<TensorInfo> tensors) {
      super(tensors.get(0).name(), tensors.stream().mapToLong(TensorInfo::byteSize).sum());
      this.store = store;
      this.tensors = List.copyOf(tensors);
    }

    @Override
    long plannedBytes() {
      return sourceBytes();
    }

    @Override
    List<TensorSpec> prepare(Runnable made) {
      return tensors.stream().map(TensorInfo::spec).toList();
    }

    @Override
    void write(SafetensorsWriter writer) {
      for (TensorInfo tensor : tensors) {
        for (long from = 0; from < tensor.byteSize(); from += COPY_BYTES) {
          int length = (int) Math.min(COPY_BYTES, tensor.byteSize() - from);
          writer.write(tensor.name(), from, store.read(tensor.name(), from, length));
        }
      }
    }
  }

  private static final class Dense extends ModelItem {
    private final TensorSpec spec;
    private final Supplier<Tensor> weight;

    Dense(TensorSpec spec, long sourceBytes, Supplier<Tensor> weight) {
      super(spec.name(), sourceBytes);
      this.spec = spec;
      this.weight = weight;
    }

    @Override
    long plannedBytes() {
      return spec.byteSize();
    }

    @Override
    List<TensorSpec> prepare(Runnable made) {
      return List.of(spec);
    }

    @Override
    void write(SafetensorsWriter writer) {
      try (Tensor tensor = weight.get()) {
        writer.write(name(), tensor);
      }
    }
  }

  private static final class FourBit extends ModelItem {
    /** No offset takes more digits than this one. */
    private static final float LONGEST_OFFSET = 1.1754943508222875e-38f;

    private final DType sourceDtype;
    private final long[] shape;
    private final Nf4Format format;
    private final Supplier<Nf4Tensor> weight;
    private QuantState state;

    FourBit(
        String name,
        DType sourceDtype,
        long[] shape,
        Nf4Format format,
        long sourceBytes,
        Supplier<Nf4Tensor> weight) {
      super(name, sourceBytes);
      this.sourceDtype = sourceDtype;
      this.shape = shape.clone();
      this.format = format;
      this.weight = weight;
    }

    @Override
    int passes() {
      return format.isDoubleQuantized() ? 2 : 1;
    }

    @Override
    long plannedBytes() {
      return FourBitWriter.specs(name(), state(LONGEST_OFFSET)).stream()
          .mapToLong(TensorSpec::byteSize)
          .sum();
    }

    @Override
    List<TensorSpec> prepare(Runnable made) {
      float offset = 0;
      if (format.isDoubleQuantized()) {
        try (Nf4Tensor first = weight.get()) {
          offset = first.nestedOffset();
        }
        made.run();
      }
      state = state(offset);
      return FourBitWriter.specs(name(), state);
    }

    private QuantState state(float offset) {
      QuantState.Nested nested =
          format.isDoubleQuantized()
              ? new QuantState.Nested(Nf4Format.NESTED_BLOCK_SIZE, offset)
              : null;
      return new QuantState(format.codeBook(), format.blockSize(), sourceDtype, shape, nested);
    }

    @Override
    void write(SafetensorsWriter writer) {
      try (Nf4Tensor quantized = weight.get()) {
        FourBitWriter.write(writer, name(), state, quantized);
      }
    }
  }
}
