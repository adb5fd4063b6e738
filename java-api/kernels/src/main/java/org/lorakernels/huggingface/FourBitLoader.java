package org.lorakernels.huggingface;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.Tensor;
import org.lorakernels.UnsupportedException;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsStore;
import org.lorakernels.safetensors.TensorInfo;

/** Puts one 4-bit weight together from the tensors beside it, after checking that they fit. */
final class FourBitLoader {
  /** A stored code book may differ from the standard one by its rounding, and by nothing else. */
  private static final float CODE_TOLERANCE = 1e-6f;

  private final Device device;
  private final SafetensorsStore store;
  private final String name;
  private final QuantState state;
  private final Deque<Tensor> loaded = new ArrayDeque<>();

  FourBitLoader(Device device, SafetensorsStore store, String name, QuantState state) {
    this.device = device;
    this.store = store;
    this.name = name;
    this.state = state;
  }

  Nf4Tensor load() {
    checkCodeBook();
    try {
      return assemble();
    } catch (RuntimeException e) {
      loaded.forEach(Tensor::close);
      throw e;
    }
  }

  private Nf4Tensor assemble() {
    long elements = state.elementCount();
    long blocks = ceilDiv(elements, state.blockSize());
    QuantState.Nested nested = state.nested();
    if (nested == null) {
      if (store.contains(name + FourBitKeys.NESTED_ABSMAX)) {
        throw malformed(
            "there is " + FourBitKeys.NESTED_ABSMAX + ", but quant_state has no nested_offset");
      }
      Tensor absmax = beside(FourBitKeys.ABSMAX, SafetensorsDtype.F32, blocks);
      return build(packed(ceilDiv(elements, 2)), absmax, null, null, 0);
    }
    if (nested.blockSize() != Nf4Format.NESTED_BLOCK_SIZE) {
      throw new UnsupportedException(
          "checkpoint: \""
              + name
              + "\": nested_blocksize must be "
              + Nf4Format.NESTED_BLOCK_SIZE
              + ", but is "
              + nested.blockSize());
    }
    return build(
        packed(ceilDiv(elements, 2)),
        beside(FourBitKeys.ABSMAX, SafetensorsDtype.U8, blocks),
        beside(
            FourBitKeys.NESTED_ABSMAX, SafetensorsDtype.F32, ceilDiv(blocks, nested.blockSize())),
        nestedCode(),
        nested.offset());
  }

  private Nf4Tensor build(
      Tensor packed, Tensor absmax, Tensor nestedAbsmax, Tensor nestedCode, float nestedOffset) {
    return Nf4Tensor.of(
        state.format(),
        state.dtype(),
        state.shape(),
        packed,
        absmax,
        nestedAbsmax,
        nestedCode,
        nestedOffset);
  }

  /**
   * The codes; they may be stored under any element type (bnb_4bit_quant_storage), as bytes all the
   * same.
   */
  private Tensor packed(long bytes) {
    TensorInfo info = store.info(name);
    if (info.byteSize() != bytes) {
      throw malformed(
          "the shape "
              + Arrays.toString(state.shape())
              + " takes "
              + bytes
              + " bytes of codes, but there are "
              + info.byteSize());
    }
    return keep(store.bytes(device, name));
  }

  /** The map of the absmax codes; null, for the standard one, where none is stored. */
  private Tensor nestedCode() {
    return store.contains(name + FourBitKeys.NESTED_QUANT_MAP)
        ? beside(FourBitKeys.NESTED_QUANT_MAP, SafetensorsDtype.F32, Nf4Format.dynamicMap().length)
        : null;
  }

  private Tensor beside(String suffix, SafetensorsDtype dtype, long elements) {
    requireBeside(suffix, dtype, elements);
    return keep(store.tensor(device, name + suffix));
  }

  private void requireBeside(String suffix, SafetensorsDtype dtype, long elements) {
    if (!store.contains(name + suffix)) {
      throw malformed(suffix + " is missing");
    }
    TensorInfo info = store.info(name + suffix);
    if (info.dtype() != dtype || info.spec().elementCount() != elements) {
      throw malformed(
          suffix
              + " must be "
              + dtype
              + " ["
              + elements
              + "], but is "
              + info.dtype()
              + " "
              + Arrays.toString(info.shape()));
    }
  }

  /**
   * The kernels know the code books by heart; a checkpoint with another one cannot be computed
   * with.
   */
  private void checkCodeBook() {
    if (!store.contains(name + FourBitKeys.QUANT_MAP)) {
      return;
    }
    float[] expected = state.format().codeValues();
    requireBeside(FourBitKeys.QUANT_MAP, SafetensorsDtype.F32, expected.length);
    ByteBuffer stored =
        store
            .read(name + FourBitKeys.QUANT_MAP, 0, expected.length * Float.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < expected.length; i++) {
      float value = stored.getFloat();
      if (!(Math.abs(value - expected[i]) <= CODE_TOLERANCE)) {
        throw new UnsupportedException(
            "checkpoint: \""
                + name
                + FourBitKeys.QUANT_MAP
                + "\": value "
                + i
                + " must be "
                + expected[i]
                + " ("
                + state.codeBook()
                + "), but is "
                + value);
      }
    }
  }

  private Tensor keep(Tensor tensor) {
    loaded.push(tensor);
    return tensor;
  }

  private CheckpointException malformed(String message) {
    return new CheckpointException(
        store.path(),
        "checkpoint: 4-bit weight \""
            + name
            + "\": "
            + message
            + "; download or quantise it again");
  }

  private static long ceilDiv(long dividend, long divisor) {
    return dividend / divisor + (dividend % divisor == 0 ? 0 : 1);
  }
}
