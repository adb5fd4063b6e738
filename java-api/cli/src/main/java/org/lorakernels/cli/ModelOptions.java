package org.lorakernels.cli;

import java.util.Locale;
import org.lorakernels.DType;
import org.lorakernels.training.model.LoadOptions;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** How the weights of a model are held and computed with; the same for every command. */
final class ModelOptions {
  @Option(
      names = "--bits",
      paramLabel = "32|16|4",
      description = "Hold weights in F32, BF16 or NF4 (as they are stored).")
  private Integer bits;

  @Option(names = "--double-quant", description = "With --bits 4: quantise the scales as well.")
  private boolean doubleQuant;

  @Option(
      names = "--block-size",
      paramLabel = "N",
      description = "With --bits 4: weights that share a scale (${DEFAULT-VALUE}).")
  private int blockSize = 64;

  @Option(
      names = "--compute-dtype",
      converter = ComputeDtype.class,
      paramLabel = "f32|bf16|f16",
      description = "Type of activations (that of the embedding).")
  private DType computeDtype;

  /** Of f32, bf16 and f16. */
  static final class ComputeDtype implements ITypeConverter<DType> {
    @Override
    public DType convert(String value) {
      return switch (value.toLowerCase(Locale.ROOT)) {
        case "f32" -> DType.F32;
        case "bf16" -> DType.BF16;
        case "f16" -> DType.F16;
        default ->
            throw new TypeConversionException("must be f32, bf16 or f16, but is '" + value + "'");
      };
    }
  }

  /** The same for the model's loader. */
  LoadOptions load() {
    LoadOptions load = LoadOptions.asStored().doubleQuantized(doubleQuant).blockSize(blockSize);
    load = bits == null ? load : load.bits(bits);
    return computeDtype == null ? load : load.computeDtype(computeDtype);
  }
}
