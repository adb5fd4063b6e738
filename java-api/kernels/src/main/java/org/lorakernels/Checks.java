package org.lorakernels;

/**
 * What operations check before native code runs. Messages: operation, argument, expected, given,
 * what to do.
 */
final class Checks {
  private Checks() {}

  static void sameDevice(String operation, String argument, Device actual, Device expected) {
    if (actual != expected) {
      throw new InvalidArgumentException(
          operation
              + ": "
              + argument
              + " must be on the device of the other tensors, "
              + expected
              + ", but is on "
              + actual
              + "; make all tensors of an operation with one Device");
    }
  }

  /** x [*, K], bias null or [N] or [1, N], y [rows of x, N]. */
  static void forward(String operation, Tensor x, Weight weight, Tensor bias, Tensor y) {
    input(operation, "x", x, weight.cols(), "columns of the weight");
    weight(operation, weight, x.device());
    if (bias != null) {
      if (bias.elementCount() != weight.rows() || bias.rows() != 1) {
        throw new ShapeMismatchException(
            operation
                + ": bias must be ["
                + weight.rows()
                + "] (rows of the weight), but is "
                + bias);
      }
      sameDevice(operation, "bias", bias.device(), x.device());
      if (bias.dtype() != DType.F32 && bias.dtype() != x.dtype()) {
        throw new InvalidArgumentException(
            operation + ": bias must be F32 or the dtype of x (" + x.dtype() + "), but is " + bias);
      }
    }
    output(operation, "y", y, x, weight.rows());
  }

  /** dy [*, N], dx null or [rows of dy, K]. */
  static void transposed(String operation, Tensor dy, Weight weight, Tensor dx) {
    input(operation, "dy", dy, weight.rows(), "rows of the weight");
    weight(operation, weight, dy.device());
    if (dx != null) {
      output(operation, "dx", dx, dy, weight.cols());
    }
  }

  static void backward(String operation, Tensor x, Tensor dy, Weight weight, Tensor dx) {
    input(operation, "x", x, weight.cols(), "columns of the weight");
    transposed(operation, dy, weight, dx);
    sameDevice(operation, "dy", dy.device(), x.device());
    if (x.rows() != dy.rows() || x.dtype() != dy.dtype()) {
      throw new ShapeMismatchException(
          operation
              + ": dy must be "
              + x.dtype()
              + " with the "
              + x.rows()
              + " rows of x, but is "
              + dy);
    }
  }

  static void adapter(String operation, LoraAdapter adapter, Weight weight) {
    if (adapter.rows() != weight.rows() || adapter.cols() != weight.cols()) {
      throw new ShapeMismatchException(
          operation
              + ": adapter must be of a weight ["
              + weight.rows()
              + ", "
              + weight.cols()
              + "], but is "
              + adapter);
    }
    sameDevice(operation, "adapter", adapter.device(), weight.device());
  }

  static void output(String operation, String name, Tensor out, Tensor like, long cols) {
    if (out.rows() != like.rows() || out.cols() != cols || out.dtype() != like.dtype()) {
      throw new ShapeMismatchException(
          operation
              + ": "
              + name
              + " must be "
              + like.dtype()
              + " ["
              + like.rows()
              + ", "
              + cols
              + "], but is "
              + out);
    }
    sameDevice(operation, name, out.device(), like.device());
  }

  /** A float matrix of the shape of a weight, on its device. */
  static void matrix(String operation, String name, Tensor tensor, Weight weight) {
    if (tensor.rows() != weight.rows() || tensor.cols() != weight.cols()) {
      throw new ShapeMismatchException(
          operation
              + ": "
              + name
              + " must be ["
              + weight.rows()
              + ", "
              + weight.cols()
              + "] (the shape of the weight), but is "
              + tensor);
    }
    requireFloat(operation, name, tensor);
    sameDevice(operation, name, tensor.device(), weight.device());
  }

  static void requireFloat(String operation, String name, Tensor tensor) {
    if (!tensor.dtype().isFloat()) {
      throw new InvalidArgumentException(
          operation + ": " + name + " must be F32, BF16 or F16, but is " + tensor);
    }
  }

  private static void weight(String operation, Weight weight, Device device) {
    if (weight instanceof Tensor dense) {
      requireFloat(operation, "weight", dense);
    }
    sameDevice(operation, "weight", weight.device(), device);
  }

  private static void input(String operation, String name, Tensor in, long cols, String reason) {
    if (in.cols() != cols) {
      throw new ShapeMismatchException(
          operation + ": " + name + " must be [*, " + cols + "] (" + reason + "), but is " + in);
    }
    requireFloat(operation, name, in);
  }
}
