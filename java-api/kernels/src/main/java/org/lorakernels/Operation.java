package org.lorakernels;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.bindings.lk_device;
import org.lorakernels.bindings.lk_tensor;
import org.lorakernels.bindings.lk_weight;

/**
 * One call of a native operation. Its device and arguments are in use until it is closed, so that
 * close() in another thread waits for it; all arguments must be of its device.
 *
 * <pre>{@code
 * try (Operation op = Operation.on(x.device(), "scale").uses("x", x).uses("out", out)) {
 *   op.check(native_kernels.lk_scale(op.handle(), x.descriptor(), factor, out.descriptor()));
 * }
 * }</pre>
 *
 * <p>A thread has one, which its calls use one after the other: a warm call takes no Java memory.
 */
final class Operation implements AutoCloseable {
  private static final ThreadLocal<Operation> OF_THREAD = ThreadLocal.withInitial(Operation::new);

  private final ArrayList<NativeOwner> used = new ArrayList<>();
  private String name;
  private Device device;

  private Operation() {}

  /**
   * Starts an operation.
   *
   * @param device of all arguments
   * @param name what errors start with
   */
  static Operation on(Device device, String name) {
    Operation operation = OF_THREAD.get();
    device.acquireUse(name);
    operation.name = name;
    operation.device = device;
    operation.used.add(device);
    return operation;
  }

  /** Keeps an argument open until {@link #close}; null: an optional argument that is not given. */
  Operation uses(String argument, Tensor tensor) {
    return tensor == null ? this : uses(argument, tensor, tensor.device());
  }

  /** {@link #uses(String, Tensor)} of several. */
  Operation uses(String argument, List<Tensor> tensors) {
    for (int i = 0; i < tensors.size(); i++) {
      uses(argument + "[" + i + "]", tensors.get(i));
    }
    return this;
  }

  /** {@link #uses(String, Tensor)} of a weight. */
  Operation uses(String argument, Weight weight) {
    return uses(argument, owner(weight), weight.device());
  }

  /** {@link #uses(String, Tensor)} of an adapter. */
  Operation uses(String argument, LoraAdapter adapter) {
    return adapter == null ? this : uses(argument, adapter, adapter.device());
  }

  private Operation uses(String argument, NativeOwner owner, Device itsDevice) {
    try {
      Checks.sameDevice(name, argument, itsDevice, device);
      owner.acquireUse(name);
    } catch (RuntimeException failure) {
      close();
      throw failure;
    }
    used.add(owner);
    return this;
  }

  /** The native handle of the device. */
  lk_device handle() {
    return device.handle();
  }

  /** Throws the exception that a status stands for; does nothing for success. */
  void check(int status) {
    NativeLibrary.check(name, status);
  }

  @Override
  public void close() {
    for (int i = used.size() - 1; i >= 0; i--) {
      used.get(i).releaseUse();
    }
    used.clear();
    device = null;
  }

  /** The descriptor of an optional argument: null where it is not given. */
  static lk_tensor descriptor(Tensor tensor) {
    return tensor == null ? null : tensor.descriptor();
  }

  /** An array of the descriptors of tensors. */
  static lk_tensor descriptors(List<Tensor> tensors) {
    lk_tensor all = new lk_tensor(NativeLibrary.descriptorMemory(lk_tensor.class, tensors.size()));
    for (int i = 0; i < tensors.size(); i++) {
      tensors.get(i).describe(all.getPointer(i));
    }
    return all;
  }

  /** The descriptor of a weight, dense or in 4 bits. */
  static lk_weight weightDescriptor(Weight weight) {
    return weight instanceof Tensor tensor
        ? tensor.weightDescriptor()
        : ((Nf4Tensor) weight).descriptor();
  }

  private static NativeOwner owner(Weight weight) {
    return weight instanceof Tensor tensor ? tensor : (Nf4Tensor) weight;
  }
}
