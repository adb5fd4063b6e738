package org.lorakernels.training.model;

import org.lorakernels.DType;
import org.lorakernels.Parameter;
import org.lorakernels.Tensor;

/**
 * A dense weight, bias or norm of the base model. Frozen at first, as it is stored; trainable once
 * {@link #train} was called: then it is F32 and has a gradient. Owns its tensors.
 */
final class DenseParameter implements Resource {
  private final String name;
  private final DType storedDtype;
  private Tensor value;
  private Tensor gradient;

  /** Takes over {@code value}; {@code storedDtype} is what a checkpoint of it has. */
  DenseParameter(String name, DType storedDtype, Tensor value) {
    this.name = name;
    this.storedDtype = storedDtype;
    this.value = value;
  }

  /** The name in the checkpoint: {@code model.norm.weight}. */
  String name() {
    return name;
  }

  /** The element type that it had in the checkpoint. */
  DType storedDtype() {
    return storedDtype;
  }

  Tensor value() {
    return value;
  }

  /** F32, of the shape of the value; null while it is frozen. */
  Tensor gradient() {
    return gradient;
  }

  boolean isTrainable() {
    return gradient != null;
  }

  /** Makes an F32 copy that may change, and a gradient of zeros. */
  void train() {
    if (isTrainable()) {
      return;
    }
    Tensor copy = value.to(DType.F32);
    try {
      gradient = Tensor.zeros(value.device(), DType.F32, value.shape());
    } catch (RuntimeException failure) {
      copy.close();
      throw failure;
    }
    value.close();
    value = copy;
  }

  Parameter parameter() {
    return new Parameter(name, value, gradient);
  }

  @Override
  public void close() {
    value.close();
    if (gradient != null) {
      gradient.close();
    }
  }
}
