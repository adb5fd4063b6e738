package org.lorakernels;

import static org.lorakernels.Operation.descriptor;
import static org.lorakernels.Operation.weightDescriptor;

import org.lorakernels.bindings.global.native_kernels;

/**
 * The operations. Each runs on the device of its tensors, which must all be of one {@link Device}.
 *
 * <p>Shapes: x is [*, K], y and dy are [*, N], a weight is [N, K]; leading dimensions are kept.
 * Activations are F32, BF16 or F16, the same in one call; sums are F32. Every operation comes in
 * two forms: one that returns a new tensor, which the caller closes, and one that writes into a
 * tensor given last and allocates nothing.
 *
 * <p>All throw {@link ShapeMismatchException} for shapes that do not fit, {@link
 * InvalidArgumentException} for dtypes and mixed devices, {@link ClosedException} for closed
 * tensors, and {@link DeviceOutOfMemoryException}; then nothing was written.
 */
public final class LoraKernels {
  private LoraKernels() {}

  // ---- library
  // -----------------------------------------------------------------------------------------------------------

  /** Version of the native library, and how it was built. */
  public static String version() {
    NativeLibrary.ensureLoaded();
    return native_kernels.lk_version().getString()
        + " ("
        + native_kernels.lk_build_info().getString()
        + ")";
  }

  /** Version of the C ABI of the native library. */
  public static int abiVersion() {
    NativeLibrary.ensureLoaded();
    return native_kernels.lk_abi_version();
  }

  /** Threads of the pool that all CPU devices share. */
  public static int numThreads() {
    NativeLibrary.ensureLoaded();
    return native_kernels.lk_num_threads();
  }

  /**
   * Changes the number of threads; never changes a result.
   *
   * @param threads 0: one for each hardware thread, or what {@code LORA_KERNELS_THREADS} says
   */
  public static void numThreads(int threads) {
    NativeLibrary.ensureLoaded();
    NativeLibrary.check("numThreads", native_kernels.lk_set_num_threads(threads));
  }

  // ---- quantisation
  // ------------------------------------------------------------------------------------------------------

  /**
   * Quantises a weight to 4 bits, bit for bit as bitsandbytes' CPU library does.
   *
   * @param weight [N, K], F32, BF16 or F16
   * @param format code book, block size, double quantisation
   */
  public static Nf4Tensor quantize(Tensor weight, Nf4Format format) {
    Checks.requireFloat("quantize", "weight", weight);
    Nf4Tensor out =
        Nf4Tensor.allocate(weight.device(), format, weight.dtype(), weight.rows(), weight.cols());
    try {
      quantize(weight, out);
      return out;
    } catch (RuntimeException failure) {
      out.close();
      throw failure;
    }
  }

  /** {@link #quantize(Tensor, Nf4Format)} into given memory, whose format decides. */
  public static void quantize(Tensor weight, Nf4Tensor out) {
    Checks.matrix("quantize", "weight", weight, out);
    try (Operation op =
        Operation.on(weight.device(), "quantize").uses("weight", weight).uses("out", out)) {
      op.check(native_kernels.lk_quantize(op.handle(), weight.descriptor(), out.descriptor()));
    }
  }

  /**
   * The dense values of a weight: code * scale in F32, rounded once.
   *
   * @param weight 4-bit or dense
   * @param dtype F32, BF16 or F16
   */
  public static Tensor dequantize(Weight weight, DType dtype) {
    Tensor out =
        Tensor.allocate(
            "dequantize", weight.device(), dtype, new long[] {weight.rows(), weight.cols()});
    return filled(out, () -> dequantize(weight, out));
  }

  /** {@link #dequantize(Weight, DType)} into a tensor [N, K]. */
  public static void dequantize(Weight weight, Tensor out) {
    Checks.matrix("dequantize", "out", out, weight);
    try (Operation op =
        Operation.on(weight.device(), "dequantize").uses("weight", weight).uses("out", out)) {
      op.check(
          native_kernels.lk_dequantize(op.handle(), weightDescriptor(weight), out.descriptor()));
    }
  }

  // ---- elementwise
  // -------------------------------------------------------------------------------------------------------

  /**
   * Copies between F32, BF16 and F16, rounding to nearest even.
   *
   * @param source any float dtype
   * @param out any float dtype, rows and columns of source
   */
  public static void convert(Tensor source, Tensor out) {
    Shapes.requireSame("convert", "out", out, source);
    Checks.requireFloat("convert", "source", source);
    Checks.requireFloat("convert", "out", out);
    try (Operation op =
        Operation.on(source.device(), "convert").uses("source", source).uses("out", out)) {
      op.check(native_kernels.lk_convert(op.handle(), source.descriptor(), out.descriptor()));
    }
  }

  /**
   * out = D ∘ x with the adapter's dropout mask: what {@link #fusedForward} does on the fly.
   *
   * @param x [*, K]
   * @param adapter gives rate (0 unless training), seed and step
   * @param out shape and dtype of x; may be x itself
   */
  public static void dropout(Tensor x, LoraAdapter adapter, Tensor out) {
    Checks.requireFloat("dropout", "x", x);
    Checks.output("dropout", "out", out, x, x.cols());
    try (Operation op =
        Operation.on(x.device(), "dropout")
            .uses("x", x)
            .uses("adapter", adapter)
            .uses("out", out)) {
      op.check(
          native_kernels.lk_dropout(
              op.handle(), x.descriptor(), adapter.descriptor(), out.descriptor()));
    }
  }

  // ---- matmul
  // ------------------------------------------------------------------------------------------------------------

  /** y [*, N] = x [*, K] * Wᵀ. */
  public static Tensor matmul(Tensor x, Weight weight) {
    return matmul(x, weight, null);
  }

  /**
   * y [*, N] = x [*, K] * Wᵀ + bias.
   *
   * @param bias [N], F32 or the dtype of x; null: none
   */
  public static Tensor matmul(Tensor x, Weight weight, Tensor bias) {
    Tensor y = like("matmul", x, weight.rows());
    return filled(y, () -> matmul(x, weight, bias, y));
  }

  /** {@link #matmul(Tensor, Weight, Tensor)} into y [*, N]. */
  public static void matmul(Tensor x, Weight weight, Tensor bias, Tensor y) {
    Checks.forward("matmul", x, weight, bias, y);
    try (Operation op =
        Operation.on(x.device(), "matmul")
            .uses("x", x)
            .uses("weight", weight)
            .uses("bias", bias)
            .uses("y", y)) {
      op.check(
          native_kernels.lk_matmul(
              op.handle(),
              x.descriptor(),
              weightDescriptor(weight),
              descriptor(bias),
              y.descriptor()));
    }
  }

  /** dx [*, K] = dy [*, N] * W. */
  public static Tensor matmulTransposed(Tensor dy, Weight weight) {
    Tensor dx = like("matmulTransposed", dy, weight.cols());
    return filled(dx, () -> matmulTransposed(dy, weight, dx));
  }

  /** {@link #matmulTransposed(Tensor, Weight)} into dx [*, K]. */
  public static void matmulTransposed(Tensor dy, Weight weight, Tensor dx) {
    Checks.transposed("matmulTransposed", dy, weight, dx);
    try (Operation op =
        Operation.on(dy.device(), "matmulTransposed")
            .uses("dy", dy)
            .uses("weight", weight)
            .uses("dx", dx)) {
      op.check(
          native_kernels.lk_matmul_transposed(
              op.handle(), dy.descriptor(), weightDescriptor(weight), dx.descriptor()));
    }
  }

  // ---- LoRA
  // --------------------------------------------------------------------------------------------------------------

  /** {@link #fusedForward(Tensor, Weight, Tensor, LoraAdapter)} without bias. */
  public static Tensor fusedForward(Tensor x, Weight weight, LoraAdapter adapter) {
    return fusedForward(x, weight, null, adapter);
  }

  /**
   * y [*, N] = x * Wᵀ + bias + scaling * ((D ∘ x) * Aᵀ) * Bᵀ, in one pass over W.
   *
   * @param x [*, K]
   * @param weight [N, K]
   * @param bias [N], F32 or the dtype of x; null: none
   * @param adapter of a weight [N, K]; its dropout applies while it is training
   */
  public static Tensor fusedForward(Tensor x, Weight weight, Tensor bias, LoraAdapter adapter) {
    Tensor y = like("fusedForward", x, weight.rows());
    return filled(y, () -> fusedForward(x, weight, bias, adapter, y));
  }

  /** {@link #fusedForward(Tensor, Weight, Tensor, LoraAdapter)} into y [*, N]. */
  public static void fusedForward(
      Tensor x, Weight weight, Tensor bias, LoraAdapter adapter, Tensor y) {
    Checks.forward("fusedForward", x, weight, bias, y);
    Checks.adapter("fusedForward", adapter, weight);
    try (Operation op =
        Operation.on(x.device(), "fusedForward")
            .uses("x", x)
            .uses("weight", weight)
            .uses("bias", bias)
            .uses("adapter", adapter)
            .uses("y", y)) {
      op.check(
          native_kernels.lk_lora_forward(
              op.handle(),
              x.descriptor(),
              weightDescriptor(weight),
              descriptor(bias),
              adapter.descriptor(),
              y.descriptor()));
    }
  }

  /**
   * dx [*, K] = dy * W + D ∘ (scaling * dy * B * A); adds to the adapter's gradients: dB += scaling
   * * dyᵀ * ((D ∘ x) * Aᵀ), dA += (scaling * dy * B)ᵀ * (D ∘ x). The mask is made again from the
   * adapter's seed and step.
   *
   * @param x [*, K], the input of forward
   * @param dy [*, N], the gradient of its output
   * @param weight [N, K]
   * @param adapter of a weight [N, K], with the dropout step of forward
   */
  public static Tensor fusedBackward(Tensor x, Tensor dy, Weight weight, LoraAdapter adapter) {
    Tensor dx = like("fusedBackward", dy, weight.cols());
    return filled(dx, () -> fusedBackward(x, dy, weight, adapter, dx));
  }

  /**
   * {@link #fusedBackward(Tensor, Tensor, Weight, LoraAdapter)} into dx.
   *
   * @param dx [*, K]; null: only the gradients of A and B are wanted
   */
  public static void fusedBackward(
      Tensor x, Tensor dy, Weight weight, LoraAdapter adapter, Tensor dx) {
    Checks.backward("fusedBackward", x, dy, weight, dx);
    Checks.adapter("fusedBackward", adapter, weight);
    adapter.ensureGradients("fusedBackward");
    try (Operation op =
        Operation.on(x.device(), "fusedBackward")
            .uses("x", x)
            .uses("dy", dy)
            .uses("weight", weight)
            .uses("adapter", adapter)
            .uses("dx", dx)) {
      op.check(
          native_kernels.lk_lora_backward(
              op.handle(),
              x.descriptor(),
              dy.descriptor(),
              weightDescriptor(weight),
              adapter.descriptor(),
              descriptor(dx)));
    }
  }

  /** {@link #unfusedForward(Tensor, Weight, Tensor, LoraAdapter)} without bias. */
  public static Tensor unfusedForward(Tensor x, Weight weight, LoraAdapter adapter) {
    return unfusedForward(x, weight, null, adapter);
  }

  /**
   * The result of {@link #fusedForward(Tensor, Weight, Tensor, LoraAdapter)} the usual way:
   * dequantise the weight, BLAS, two LoRA products, the adds. For comparison; needs the OpenBLAS
   * presets.
   *
   * @throws BackendUnavailableException where {@code org.bytedeco:openblas} is not on the class
   *     path
   */
  public static Tensor unfusedForward(Tensor x, Weight weight, Tensor bias, LoraAdapter adapter) {
    Tensor y = like("unfusedForward", x, weight.rows());
    return filled(y, () -> unfusedForward(x, weight, bias, adapter, y));
  }

  /**
   * {@link #unfusedForward(Tensor, Weight, Tensor, LoraAdapter)} into y; temporaries are allocated
   * all the same.
   */
  public static void unfusedForward(
      Tensor x, Weight weight, Tensor bias, LoraAdapter adapter, Tensor y) {
    Checks.forward("unfusedForward", x, weight, bias, y);
    Checks.adapter("unfusedForward", adapter, weight);
    UnfusedPath.forward(x, weight, bias, adapter, y);
  }

  /**
   * The result of {@link #fusedBackward(Tensor, Tensor, Weight, LoraAdapter)} the usual way; see
   * {@link #unfusedForward}.
   *
   * @throws BackendUnavailableException where {@code org.bytedeco:openblas} is not on the class
   *     path
   */
  public static Tensor unfusedBackward(Tensor x, Tensor dy, Weight weight, LoraAdapter adapter) {
    Tensor dx = like("unfusedBackward", dy, weight.cols());
    return filled(dx, () -> unfusedBackward(x, dy, weight, adapter, dx));
  }

  /**
   * {@link #unfusedBackward(Tensor, Tensor, Weight, LoraAdapter)} into dx; null: only the gradients
   * are wanted.
   */
  public static void unfusedBackward(
      Tensor x, Tensor dy, Weight weight, LoraAdapter adapter, Tensor dx) {
    Checks.backward("unfusedBackward", x, dy, weight, dx);
    Checks.adapter("unfusedBackward", adapter, weight);
    adapter.ensureGradients("unfusedBackward");
    UnfusedPath.backward(x, dy, weight, adapter, dx);
  }

  // ---- merging
  // -----------------------------------------------------------------------------------------------------------

  /**
   * The dense weight with the adapter in it: W + scaling * B * A, summed in F32, rounded once.
   *
   * @param weight [N, K]; a 4-bit weight is dequantised first: what training saw
   * @param adapter of a weight [N, K]; dropout does not apply
   * @return [N, K] in the weight's {@link Weight#sourceDtype}
   */
  public static Tensor merge(Weight weight, LoraAdapter adapter) {
    return merged("merge", weight, adapter, 1f);
  }

  /**
   * {@link #merge(Weight, LoraAdapter)} into a tensor [N, K] of any float dtype, which may be the
   * dense weight itself.
   */
  public static void merge(Weight weight, LoraAdapter adapter, Tensor out) {
    merge("merge", weight, adapter, 1f, out);
  }

  /** {@link #merge(Weight, LoraAdapter)}, quantised again in the weight's format. */
  public static Nf4Tensor mergeQuantized(Nf4Tensor weight, LoraAdapter adapter) {
    return mergedQuantized("mergeQuantized", weight, adapter, 1f);
  }

  /**
   * {@link #mergeQuantized(Nf4Tensor, LoraAdapter)} into given memory, whose format decides; not
   * the weight's own.
   */
  public static void mergeQuantized(Nf4Tensor weight, LoraAdapter adapter, Nf4Tensor out) {
    mergeQuantized("mergeQuantized", weight, adapter, 1f, out);
  }

  /**
   * Takes the adapter out again: W - scaling * B * A. Restores a dense weight within one rounding.
   */
  public static Tensor unmerge(Weight weight, LoraAdapter adapter) {
    return merged("unmerge", weight, adapter, -1f);
  }

  /**
   * {@link #unmerge(Weight, LoraAdapter)} into a tensor [N, K] of any float dtype, which may be the
   * dense weight itself.
   */
  public static void unmerge(Weight weight, LoraAdapter adapter, Tensor out) {
    merge("unmerge", weight, adapter, -1f, out);
  }

  /** {@link #unmerge(Weight, LoraAdapter)}, quantised again in the weight's format. */
  public static Nf4Tensor unmergeQuantized(Nf4Tensor weight, LoraAdapter adapter) {
    return mergedQuantized("unmergeQuantized", weight, adapter, -1f);
  }

  /**
   * {@link #unmergeQuantized(Nf4Tensor, LoraAdapter)} into given memory, whose format decides; not
   * the weight's own.
   */
  public static void unmergeQuantized(Nf4Tensor weight, LoraAdapter adapter, Nf4Tensor out) {
    mergeQuantized("unmergeQuantized", weight, adapter, -1f, out);
  }

  private static Tensor merged(String operation, Weight weight, LoraAdapter adapter, float sign) {
    Tensor out =
        Tensor.allocate(
            operation,
            weight.device(),
            weight.sourceDtype(),
            new long[] {weight.rows(), weight.cols()});
    return filled(out, () -> merge(operation, weight, adapter, sign, out));
  }

  private static void merge(
      String operation, Weight weight, LoraAdapter adapter, float sign, Tensor out) {
    Checks.adapter(operation, adapter, weight);
    Checks.matrix(operation, "out", out, weight);
    try (Operation op =
        Operation.on(weight.device(), operation)
            .uses("weight", weight)
            .uses("adapter", adapter)
            .uses("out", out)) {
      op.check(
          native_kernels.lk_merge(
              op.handle(), weightDescriptor(weight), adapter.descriptor(), sign, out.descriptor()));
    }
  }

  private static Nf4Tensor mergedQuantized(
      String operation, Nf4Tensor weight, LoraAdapter adapter, float sign) {
    Nf4Tensor out =
        Nf4Tensor.allocate(
            weight.device(), weight.format(), weight.sourceDtype(), weight.rows(), weight.cols());
    try {
      mergeQuantized(operation, weight, adapter, sign, out);
      return out;
    } catch (RuntimeException failure) {
      out.close();
      throw failure;
    }
  }

  private static void mergeQuantized(
      String operation, Nf4Tensor weight, LoraAdapter adapter, float sign, Nf4Tensor out) {
    Checks.adapter(operation, adapter, weight);
    Checks.adapter(operation, adapter, out);
    try (Operation op =
        Operation.on(weight.device(), operation)
            .uses("weight", weight)
            .uses("adapter", adapter)
            .uses("out", out)) {
      op.check(
          native_kernels.lk_merge_quantized(
              op.handle(), weight.descriptor(), adapter.descriptor(), sign, out.descriptor()));
    }
  }

  // ---- new tensors
  // -------------------------------------------------------------------------------------------------------

  /** A new tensor of the shape and dtype of {@code in}, but for its last dimension. */
  private static Tensor like(String operation, Tensor in, long cols) {
    long[] shape = in.shape();
    if (shape.length == 0) {
      throw new ShapeMismatchException(operation + ": needs at least one dimension, but is " + in);
    }
    shape[shape.length - 1] = cols;
    return Tensor.allocate(operation, in.device(), in.dtype(), shape);
  }

  /** Runs what fills a new tensor, and closes it where that fails. */
  private static Tensor filled(Tensor out, Runnable fill) {
    try {
      fill.run();
      return out;
    } catch (RuntimeException failure) {
      out.close();
      throw failure;
    }
  }
}
