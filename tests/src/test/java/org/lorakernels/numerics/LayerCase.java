package org.lorakernels.numerics;

import java.util.Random;
import org.lorakernels.CodeBook;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.DropoutOracle;
import org.lorakernels.oracle.FourBitOracle;
import org.lorakernels.oracle.LoraOracle;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Precision;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.Tolerance;

/**
 * A layer of any shape and storage, filled from a seed, whose operations are compared with the
 * float64 reference.
 *
 * <p>Error bounds follow from the sums: n terms added in F32 are off by at most n * 2^-24 times the
 * sum of their magnitudes, which the reference computes as well; BF16 activations may round each
 * dequantised weight once more (2^-9); the result is rounded once to its dtype.
 *
 * @param rows M, rows of x
 * @param outputs N
 * @param inputs K
 * @param storage how the weight is stored
 * @param activations dtype of x, y, dx and dy
 * @param adapter dtype of A and B
 */
public record LayerCase(
    int rows,
    int outputs,
    int inputs,
    int rank,
    Storage storage,
    Precision activations,
    Precision adapter,
    boolean bias,
    float dropout,
    long seed) {

  /** Format of a weight: dense, or 4 bits with a block size, single or double quantised. */
  public record Storage(
      CodeBook codeBook, int blockSize, boolean doubleQuantized, Precision dense) {
    public static Storage dense(Precision precision) {
      return new Storage(null, 0, false, precision);
    }

    public static Storage fourBit(CodeBook codeBook, int blockSize, boolean doubleQuantized) {
      return new Storage(codeBook, blockSize, doubleQuantized, null);
    }

    Nf4Format format() {
      Nf4Format format = doubleQuantized ? Nf4Format.doubleQuantized() : Nf4Format.plain();
      return format.withCodeBook(codeBook).withBlockSize(blockSize);
    }
  }

  private static final float ALPHA = 16;
  private static final long STEP = 5;

  /** A case drawn from {@code random}, over every storage and dtype. */
  static LayerCase draw(Random random) {
    Precision[] precisions = Precision.values();
    Storage storage =
        random.nextInt(4) == 0
            ? Storage.dense(precisions[random.nextInt(3)])
            : Storage.fourBit(
                CodeBook.values()[random.nextInt(2)],
                32 << random.nextInt(4),
                random.nextBoolean());
    return new LayerCase(
        random.nextInt(21),
        1 + random.nextInt(200),
        1 + random.nextInt(200),
        1 + random.nextInt(64),
        storage,
        precisions[random.nextInt(3)],
        precisions[random.nextInt(3)],
        random.nextBoolean(),
        random.nextBoolean() ? 0 : 0.3f,
        random.nextLong());
  }

  /** Runs every operation of the layer and compares it with the reference. */
  public void check() {
    try (Scope scope = Scope.cpu()) {
      new Run(this, scope).check();
    }
  }

  private record StoredWeight(Weight onDevice, Matrix values) {}

  /** The layer on a device, beside its reference. */
  private static final class Run {
    private final LayerCase layer;
    private final Scope scope;
    private final Random random;
    private final Weight weight;
    private final Tensor bias;
    private final LoraAdapter lora;
    private final LoraOracle exact;
    private final LoraOracle magnitudes;
    private final Matrix x;
    private final Matrix dy;

    Run(LayerCase layer, Scope scope) {
      this.layer = layer;
      this.scope = scope;
      random = new Random(layer.seed);
      StoredWeight stored = weight();
      weight = stored.onDevice;
      Matrix biasRow = gaussian(1, layer.outputs, 1, layer.activations);
      bias = layer.bias ? scope.tensor(biasRow, layer.activations) : null;
      Matrix a = gaussian(layer.rank, layer.inputs, 0.2, layer.adapter);
      Matrix b = gaussian(layer.outputs, layer.rank, 0.2, layer.adapter);
      lora =
          scope.own(
              LoraAdapter.of(
                  config(), scope.tensor(a, layer.adapter), scope.tensor(b, layer.adapter)));
      lora.dropoutStep(STEP);
      Matrix mask =
          layer.dropout == 0
              ? null
              : DropoutOracle.mask(layer.rows, layer.inputs, layer.dropout, layer.seed, STEP);
      exact =
          new LoraOracle(
              stored.values, layer.bias ? biasRow.values() : null, a, b, lora.scaling(), mask);
      magnitudes = exact.magnitudes();
      x = gaussian(layer.rows, layer.inputs, 1, layer.activations);
      dy = gaussian(layer.rows, layer.outputs, 1, layer.activations);
    }

    private LoraConfig config() {
      return LoraConfig.rank(layer.rank)
          .alpha(ALPHA)
          .dropout(layer.dropout)
          .dtype(layer.adapter.dtype())
          .seed(layer.seed);
    }

    void check() {
      Tensor xOnDevice = scope.tensor(x, layer.activations);
      Tensor dyOnDevice = scope.tensor(dy, layer.activations);
      checkMatmul(xOnDevice, dyOnDevice);

      checkForward(LoraKernels.fusedForward(xOnDevice, weight, bias, lora));
      checkBackward(LoraKernels.fusedBackward(xOnDevice, dyOnDevice, weight, lora));
      checkAccumulation(xOnDevice, dyOnDevice);

      lora.zeroGradients();
      checkForward(LoraKernels.unfusedForward(xOnDevice, weight, bias, lora));
      checkBackward(LoraKernels.unfusedBackward(xOnDevice, dyOnDevice, weight, lora));
      checkDropout(xOnDevice);
    }

    private void checkForward(Tensor y) {
      Matrix sizes = magnitudes.forward(x.abs());
      Tolerance tolerance = activation(layer.inputs + layer.rank, sizes, weightMagnitude(x, true));
      Compare.close("y", exact.forward(x), scope.own(y).toFloatArray(), tolerance);
    }

    /** dx, and the gradients that were zero before. */
    private void checkBackward(Tensor dx) {
      LoraOracle.Gradients expected = exact.backward(x, dy);
      LoraOracle.Gradients sizes = magnitudes.backward(x.abs(), dy.abs());
      Tolerance tolerance =
          activation(layer.outputs + layer.rank, sizes.dx(), weightMagnitude(dy, false));
      Compare.close("dx", expected.dx(), scope.own(dx).toFloatArray(), tolerance);
      checkGradients(1);
    }

    /** The gradients of a second call without dx are added to those of the first: twice as much. */
    private void checkAccumulation(Tensor xOnDevice, Tensor dyOnDevice) {
      LoraKernels.fusedBackward(xOnDevice, dyOnDevice, weight, lora, null);
      checkGradients(2);
    }

    /** The gradients of so many calls. */
    private void checkGradients(int calls) {
      LoraOracle.Gradients expected = exact.backward(x, dy);
      LoraOracle.Gradients sizes = magnitudes.backward(x.abs(), dy.abs());
      int rows = calls * layer.rows;
      Compare.close(
          calls + " dA",
          expected.dA().scaled(calls),
          lora.gradA().toFloatArray(),
          sum(layer.outputs + rows, sizes.dA().scaled(calls)));
      Compare.close(
          calls + " dB",
          expected.dB().scaled(calls),
          lora.gradB().toFloatArray(),
          sum(layer.inputs + rows, sizes.dB().scaled(calls)));
    }

    private void checkDropout(Tensor xOnDevice) {
      Tensor dropped = scope.zeros(layer.activations.dtype(), layer.rows, layer.inputs);
      LoraKernels.dropout(xOnDevice, lora, dropped);
      Matrix expected = exact.mask() == null ? x : x.masked(exact.mask());
      Tolerance rounding =
          Tolerance.relative(
              1.001 * 0x1p-23 + layer.activations.unitRoundoff(), 1e-7, "two roundings");
      float[] actual = dropped.toFloatArray();
      Compare.close("dropout", expected, actual, rounding);
      for (int i = 0; i < actual.length; i++) {
        boolean kept = exact.mask() == null || exact.mask().values()[i] != 0;
        if (!kept && actual[i] != 0) throw new AssertionError("element " + i + " was not dropped");
      }
    }

    private void checkMatmul(Tensor xOnDevice, Tensor dyOnDevice) {
      Matrix y = x.timesTransposed(exact.weight()).plusRow(exact.bias());
      Tensor actual = scope.own(LoraKernels.matmul(xOnDevice, weight, bias));
      Matrix terms = x.abs().timesTransposed(exact.weight().abs()).plusRow(magnitudes.bias());
      Compare.close(
          "matmul",
          y,
          actual.toFloatArray(),
          activation(layer.inputs, terms, weightMagnitude(x, true)));

      Tensor dx = scope.own(LoraKernels.matmulTransposed(dyOnDevice, weight));
      Matrix dxTerms = dy.abs().times(exact.weight().abs());
      Tolerance tolerance = activation(layer.outputs, dxTerms, weightMagnitude(dy, false));
      Compare.close("matmulTransposed", dy.times(exact.weight()), dx.toFloatArray(), tolerance);
    }

    private Matrix weightMagnitude(Matrix input, boolean transposed) {
      Matrix sizes = exact.weight().abs();
      return transposed ? input.abs().timesTransposed(sizes) : input.abs().times(sizes);
    }

    /** For a result in the dtype of the activations: {@code terms} F32 additions. */
    private Tolerance activation(int terms, Matrix sizes, Matrix weightSizes) {
      double weightRounding =
          layer.activations == Precision.BF16 ? Precision.BF16.unitRoundoff() : 0;
      Matrix error = sizes.scaled(additions(terms)).plus(weightSizes.scaled(weightRounding));
      return Tolerance.ofTerms(
          1.001, error, layer.activations, terms + " additions in F32, one rounding to the dtype");
    }

    private static Tolerance sum(int terms, Matrix sizes) {
      return Tolerance.ofTerms(additions(terms), sizes, Precision.F32, terms + " additions in F32");
    }

    /** Relative error of {@code terms} additions, and of the few products around them. */
    private static double additions(int terms) {
      return (terms + 8) * Precision.F32.unitRoundoff();
    }

    private Matrix gaussian(int rows, int cols, double deviation, Precision precision) {
      return Matrix.gaussian(rows, cols, deviation, precision, random);
    }

    private StoredWeight weight() {
      Storage storage = layer.storage;
      if (storage.dense != null) {
        Matrix values = gaussian(layer.outputs, layer.inputs, 0.5, storage.dense);
        return new StoredWeight(scope.tensor(values, storage.dense), values);
      }
      Matrix source = gaussian(layer.outputs, layer.inputs, 0.5, Precision.F32);
      FourBitOracle.Quantized quantized =
          FourBitOracle.of(storage.codeBook).quantize(source.floats(), storage.blockSize);
      return storage.doubleQuantized ? doubleQuantized(quantized) : singleQuantized(quantized);
    }

    private StoredWeight singleQuantized(FourBitOracle.Quantized quantized) {
      float[] absmax = quantized.absmax();
      Nf4Tensor weight = nf4(quantized.packed(), floats(absmax), null, 0);
      return new StoredWeight(weight, dequantized(quantized.packed(), absmax));
    }

    /** Any codes and nested values do: the kernels must apply them as the formula says. */
    private StoredWeight doubleQuantized(FourBitOracle.Quantized quantized) {
      byte[] codes = new byte[quantized.absmax().length];
      random.nextBytes(codes);
      float[] nestedAbsmax = new float[(codes.length + 255) / 256];
      for (int i = 0; i < nestedAbsmax.length; i++) nestedAbsmax[i] = 0.1f + random.nextFloat();
      float offset = 1.2f;
      Tensor absmax = scope.bytes(DType.U8, codes, codes.length);
      Nf4Tensor weight = nf4(quantized.packed(), absmax, floats(nestedAbsmax), offset);
      float[] scales = FourBitOracle.scales(codes, nestedAbsmax, offset);
      return new StoredWeight(weight, dequantized(quantized.packed(), scales));
    }

    private Nf4Tensor nf4(byte[] packed, Tensor absmax, Tensor nestedAbsmax, float offset) {
      Nf4Format format = layer.storage.format();
      long[] shape = {layer.outputs, layer.inputs};
      Tensor codes = scope.bytes(DType.U8, packed, packed.length, 1);
      return scope.own(
          Nf4Tensor.of(format, DType.F32, shape, codes, absmax, nestedAbsmax, null, offset));
    }

    private Tensor floats(float[] values) {
      Tensor tensor = scope.zeros(DType.F32, values.length);
      tensor.copyFrom(values);
      return tensor;
    }

    private Matrix dequantized(byte[] packed, float[] scales) {
      FourBitOracle oracle = FourBitOracle.of(layer.storage.codeBook);
      int count = layer.outputs * layer.inputs;
      float[] values = oracle.dequantize(packed, scales, layer.storage.blockSize, count);
      return Matrix.of(layer.outputs, layer.inputs, values);
    }
  }
}
