package org.lorakernels;

import org.lorakernels.bindings.global.native_kernels;
import org.lorakernels.bindings.lk_weight;

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
    Device device = enter("quantize", weight, out, null, null, null);
    try {
      NativeLibrary.check(
          "quantize",
          native_kernels.lk_quantize(device.handle(), weight.descriptor(), out.descriptor()));
    } finally {
      leave(device, weight, out, null, null, null);
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
    NativeOwner owner = owner(weight);
    Device device = enter("dequantize", owner, out, null, null, null);
    try {
      NativeLibrary.check(
          "dequantize",
          native_kernels.lk_dequantize(device.handle(), descriptor(weight), out.descriptor()));
    } finally {
      leave(device, owner, out, null, null, null);
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
    Checks.sameDevice("convert", "out", out.device(), source.device());
    Device device = enter("convert", source, out, null, null, null);
    try {
      NativeLibrary.check(
          "convert",
          native_kernels.lk_convert(device.handle(), source.descriptor(), out.descriptor()));
    } finally {
      leave(device, source, out, null, null, null);
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
    Checks.sameDevice("dropout", "adapter", adapter.device(), x.device());
    Device device = enter("dropout", x, adapter, out, null, null);
    try {
      NativeLibrary.check(
          "dropout",
          native_kernels.lk_dropout(
              device.handle(), x.descriptor(), adapter.descriptor(), out.descriptor()));
    } finally {
      leave(device, x, adapter, out, null, null);
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
    NativeOwner owner = owner(weight);
    Device device = enter("matmul", x, owner, bias, y, null);
    try {
      NativeLibrary.check(
          "matmul",
          native_kernels.lk_matmul(
              device.handle(),
              x.descriptor(),
              descriptor(weight),
              bias == null ? null : bias.descriptor(),
              y.descriptor()));
    } finally {
      leave(device, x, owner, bias, y, null);
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
    NativeOwner owner = owner(weight);
    Device device = enter("matmulTransposed", dy, owner, dx, null, null);
    try {
      NativeLibrary.check(
          "matmulTransposed",
          native_kernels.lk_matmul_transposed(
              device.handle(), dy.descriptor(), descriptor(weight), dx.descriptor()));
    } finally {
      leave(device, dy, owner, dx, null, null);
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
    NativeOwner owner = owner(weight);
    Device device = enter("fusedForward", x, owner, bias, adapter, y);
    try {
      NativeLibrary.check(
          "fusedForward",
          native_kernels.lk_lora_forward(
              device.handle(),
              x.descriptor(),
              descriptor(weight),
              bias == null ? null : bias.descriptor(),
              adapter.descriptor(),
              y.descriptor()));
    } finally {
      leave(device, x, owner, bias, adapter, y);
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
    NativeOwner owner = owner(weight);
    Device device = enter("fusedBackward", x, dy, owner, adapter, dx);
    try {
      NativeLibrary.check(
          "fusedBackward",
          native_kernels.lk_lora_backward(
              device.handle(),
              x.descriptor(),
              dy.descriptor(),
              descriptor(weight),
              adapter.descriptor(),
              dx == null ? null : dx.descriptor()));
    } finally {
      leave(device, x, dy, owner, adapter, dx);
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
    NativeOwner owner = owner(weight);
    Device device = enter(operation, owner, adapter, out, null, null);
    try {
      NativeLibrary.check(
          operation,
          native_kernels.lk_merge(
              device.handle(), descriptor(weight), adapter.descriptor(), sign, out.descriptor()));
    } finally {
      leave(device, owner, adapter, out, null, null);
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
    Device device = enter(operation, weight, adapter, out, null, null);
    try {
      NativeLibrary.check(
          operation,
          native_kernels.lk_merge_quantized(
              device.handle(), weight.descriptor(), adapter.descriptor(), sign, out.descriptor()));
    } finally {
      leave(device, weight, adapter, out, null, null);
    }
  }

  // ---- how operations run
  // ------------------------------------------------------------------------------------------------

  /**
   * All arguments and their device are in use until {@link #leave}, so that close() in another
   * thread waits for it.
   */
  private static Device enter(
      String operation, NativeOwner a, NativeOwner b, NativeOwner c, NativeOwner d, NativeOwner e) {
    Device device = deviceOf(a);
    device.acquireUse(operation);
    try {
      NativeOwner.acquireAll(operation, a, b, c, d, e);
    } catch (RuntimeException failure) {
      device.releaseUse();
      throw failure;
    }
    return device;
  }

  private static void leave(
      Device device, NativeOwner a, NativeOwner b, NativeOwner c, NativeOwner d, NativeOwner e) {
    NativeOwner.releaseAll(a, b, c, d, e);
    device.releaseUse();
  }

  private static Device deviceOf(NativeOwner owner) {
    return owner instanceof Tensor tensor ? tensor.device() : ((Nf4Tensor) owner).device();
  }

  private static NativeOwner owner(Weight weight) {
    return weight instanceof Tensor tensor ? tensor : (Nf4Tensor) weight;
  }

  private static lk_weight descriptor(Weight weight) {
    return weight instanceof Tensor tensor
        ? tensor.weightDescriptor()
        : ((Nf4Tensor) weight).descriptor();
  }

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
