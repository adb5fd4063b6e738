package org.lorakernels.huggingface;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.lorakernels.Nf4Format;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.safetensors.SafetensorsDtype;
import org.lorakernels.safetensors.SafetensorsWriter;
import org.lorakernels.safetensors.TensorSpec;

/**
 * Writes a 4-bit weight as the tensors that bitsandbytes makes of it; see the package for the
 * layout.
 */
final class FourBitWriter {
  private FourBitWriter() {}

  /** The tensors that the weight {@code name} becomes. */
  static List<TensorSpec> specs(String name, QuantState state) {
    long elements = state.elementCount();
    long blocks = (elements - 1) / state.blockSize() + 1;
    long codes = (elements - 1) / 2 + 1;
    List<TensorSpec> specs = new ArrayList<>();
    specs.add(new TensorSpec(name, SafetensorsDtype.U8, codes, 1));
    specs.add(f32(name + FourBitKeys.QUANT_MAP, state.format().codeValues().length));
    specs.add(
        new TensorSpec(
            name + FourBitKeys.quantState(state.codeBook()),
            SafetensorsDtype.U8,
            state.toBytes().length));
    if (state.nested() == null) {
      specs.add(f32(name + FourBitKeys.ABSMAX, blocks));
    } else {
      specs.add(new TensorSpec(name + FourBitKeys.ABSMAX, SafetensorsDtype.U8, blocks));
      specs.add(
          f32(name + FourBitKeys.NESTED_ABSMAX, (blocks - 1) / state.nested().blockSize() + 1));
      specs.add(f32(name + FourBitKeys.NESTED_QUANT_MAP, Nf4Format.dynamicMap().length));
    }
    return specs;
  }

  private static TensorSpec f32(String name, long elements) {
    return new TensorSpec(name, SafetensorsDtype.F32, elements);
  }

  /**
   * Writes the tensors.
   *
   * @param weight the codes and scales of {@code name}, quantised as {@code state} says
   */
  static void write(SafetensorsWriter writer, String name, QuantState state, Nf4Tensor weight) {
    writer.write(name, weight.packed());
    writer.write(name + FourBitKeys.ABSMAX, weight.absmax());
    writer.write(name + FourBitKeys.QUANT_MAP, littleEndian(state.format().codeValues()));
    writer.write(name + FourBitKeys.quantState(state.codeBook()), ByteBuffer.wrap(state.toBytes()));
    if (state.nested() != null) {
      writer.write(name + FourBitKeys.NESTED_ABSMAX, weight.nestedAbsmax());
      writer.write(name + FourBitKeys.NESTED_QUANT_MAP, littleEndian(Nf4Format.dynamicMap()));
    }
  }

  private static ByteBuffer littleEndian(float[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return bytes;
  }
}
