package org.lorakernels.merge;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.lorakernels.DType;
import org.lorakernels.LoraKernels;
import org.lorakernels.MergeKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;

/** Measures what merging one weight costs; see {@link MergeError}. */
final class MergeErrors {
  private static final int INPUTS = 16;

  private final String name;
  private final Weight weight;
  private final AdapterSum added;
  private final Nf4Format quantization;

  MergeErrors(String name, Weight weight, AdapterSum added, Nf4Format quantization) {
    this.name = name;
    this.weight = weight;
    this.added = added;
    this.quantization = quantization;
  }

  /** One entry for every way to merge that the weight allows. */
  List<MergeError> measure(Optional<DType> outDtype) {
    DType out = outDtype.orElse(weight.sourceDtype());
    List<MergeError> errors = new ArrayList<>();
    try (Tensor x = inputs()) {
      if (weight instanceof Nf4Tensor trained) {
        try (Tensor seen = added.outputs(x, trained);
            Tensor merged = added.mergedInto(trained, out);
            Nf4Tensor requantized = added.quantizedInto(trained)) {
          errors.add(entry(x, MergeBase.DEQUANTIZED, false, merged, null, seen));
          errors.add(entry(x, MergeBase.DEQUANTIZED, true, requantized, null, seen));
        }
        return errors;
      }
      try (Nf4Tensor trained = LoraKernels.quantize((Tensor) weight, quantization);
          Tensor original = added.outputs(x, weight);
          Tensor seen = added.outputs(x, trained);
          Tensor onOriginal = added.mergedInto(weight, out);
          Tensor onDequantized = added.mergedInto(trained, out)) {
        errors.add(entry(x, MergeBase.ORIGINAL, false, onOriginal, original, seen));
        errors.add(entry(x, MergeBase.DEQUANTIZED, false, onDequantized, original, seen));
      }
      return errors;
    }
  }

  private Tensor inputs() {
    Random random = new Random(name.hashCode());
    float[] values = new float[Math.toIntExact(INPUTS * weight.cols())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(weight.device(), values, INPUTS, weight.cols());
  }

  private MergeError entry(
      Tensor x, MergeBase base, boolean requantized, Weight merged, Tensor original, Tensor seen) {
    try (Tensor y = LoraKernels.matmul(x, merged)) {
      return new MergeError(
          name,
          base,
          requantized,
          original == null ? Double.NaN : relative(y, original),
          relative(y, seen));
    }
  }

  private static double relative(Tensor actual, Tensor reference) {
    try (Tensor difference = Tensor.zeros(actual.device(), DType.F32, actual.shape())) {
      MergeKernels.combineLinear(List.of(actual, reference), new float[] {1, -1}, difference);
      double size = MergeKernels.dot(reference, reference);
      return Math.sqrt(MergeKernels.dot(difference, difference) / size);
    }
  }
}
