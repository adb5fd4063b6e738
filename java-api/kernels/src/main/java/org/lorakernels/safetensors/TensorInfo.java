package org.lorakernels.safetensors;

/**
 * A tensor of a file and where it stands.
 *
 * @param spec name, element type and shape
 * @param begin its first byte, counted from the first byte after the header
 * @param end the byte after its last
 */
public record TensorInfo(TensorSpec spec, long begin, long end) {

  /** The tensor's name. */
  public String name() {
    return spec.name();
  }

  /** Type of the elements. */
  public SafetensorsDtype dtype() {
    return spec.dtype();
  }

  /** A copy of the dimensions; empty for a scalar. */
  public long[] shape() {
    return spec.shape();
  }

  /** The number of bytes. */
  public long byteSize() {
    return spec.byteSize();
  }
}
