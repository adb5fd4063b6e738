package org.lorakernels;

import java.util.ArrayList;
import java.util.List;
import org.lorakernels.bindings.global.native_kernels;
import org.lorakernels.bindings.lk_adamw_config;
import org.lorakernels.bindings.lk_adamw_param;

/**
 * AdamW over many tensors, one native call a step. Owns its states (two F32 values for every
 * parameter element), not the parameters. In this version the states are resident: they are not
 * paged out.
 */
public final class PagedAdamW extends NativeOwner {
  private final List<Parameter> parameters;
  private final List<Tensor> expAvg = new ArrayList<>();
  private final List<Tensor> expAvgSq = new ArrayList<>();
  private final lk_adamw_param descriptors;
  private final lk_adamw_config nativeConfig;
  private AdamWConfig config;
  private long stepCount;

  private PagedAdamW(List<Parameter> parameters, AdamWConfig config) {
    this.parameters = parameters;
    descriptors =
        new lk_adamw_param(
            NativeLibrary.descriptorMemory(lk_adamw_param.class, Math.max(1, parameters.size())));
    nativeConfig = new lk_adamw_config(NativeLibrary.descriptorMemory(lk_adamw_config.class, 1));
    List<Tensor> states = new ArrayList<>();
    try {
      for (int i = 0; i < parameters.size(); i++) {
        Tensor value = parameters.get(i).value();
        Tensor m = Tensor.zeros(value.device(), DType.F32, value.shape());
        states.add(m);
        Tensor v = Tensor.zeros(value.device(), DType.F32, value.shape());
        states.add(v);
        expAvg.add(m);
        expAvgSq.add(v);
        describe(descriptors.getPointer(lk_adamw_param.class, i), parameters.get(i), m, v);
      }
    } catch (RuntimeException failure) {
      states.forEach(Tensor::close);
      throw failure;
    }
    setConfig(config);
    own("AdamW over " + parameters.size() + " tensors", () -> states.forEach(Tensor::close));
  }

  private static void describe(lk_adamw_param descriptor, Parameter parameter, Tensor m, Tensor v) {
    descriptor.parameter(parameter.value().address()).gradient(parameter.gradient().address());
    descriptor.exp_avg(m.address()).exp_avg_sq(v.address());
    descriptor.count(parameter.value().elementCount());
    descriptor.dtype(parameter.value().dtype().ordinal());
    descriptor.gradient_dtype(parameter.gradient().dtype().ordinal());
  }

  /**
   * An optimiser of parameters, with states of zero.
   *
   * @param parameters values F32 or BF16 with gradients F32 or BF16 of their shape, all contiguous
   *     and on one device; must stay open as long as steps are taken
   * @param config hyperparameters
   */
  public static PagedAdamW over(List<Parameter> parameters, AdamWConfig config) {
    NativeLibrary.ensureLoaded();
    List<Parameter> all = List.copyOf(parameters);
    for (Parameter p : all) {
      String operation = "PagedAdamW.over";
      Shapes.requireSame(operation, "gradient of " + p.name(), p.gradient(), p.value());
      Checks.sameDevice(operation, p.name(), p.value().device(), all.get(0).value().device());
      Checks.sameDevice(
          operation, "gradient of " + p.name(), p.gradient().device(), p.value().device());
      for (Tensor tensor : new Tensor[] {p.value(), p.gradient()}) {
        boolean supported = tensor.dtype() == DType.F32 || tensor.dtype() == DType.BF16;
        if (!supported || !tensor.isContiguous()) {
          throw new UnsupportedException(
              operation
                  + ": "
                  + p.name()
                  + " and its gradient must be contiguous F32 or BF16, but one is "
                  + tensor);
        }
      }
    }
    return new PagedAdamW(all, config);
  }

  /** One step with the gradients as they are. */
  public void step() {
    step(1f);
  }

  /**
   * One step.
   *
   * @param gradientScale what gradients are multiplied by first: the inverse of a loss scale, a
   *     clipping factor
   */
  public void step(float gradientScale) {
    if (parameters.isEmpty()) {
      stepCount++;
      return;
    }
    acquireUse("step");
    int acquired = 0;
    try {
      for (; acquired < parameters.size(); acquired++) {
        Parameter p = parameters.get(acquired);
        NativeOwner.acquireAll("step", p.value(), p.gradient(), null, null, null);
      }
      nativeConfig.gradient_scale(gradientScale).step(stepCount + 1);
      NativeLibrary.check(
          "step",
          native_kernels.lk_adamw_step(
              parameters.get(0).value().device().handle(),
              nativeConfig,
              descriptors,
              parameters.size()));
      stepCount++;
    } finally {
      while (acquired > 0) {
        Parameter p = parameters.get(--acquired);
        NativeOwner.releaseAll(p.value(), p.gradient(), null, null, null);
      }
      releaseUse();
    }
  }

  /** Sets all gradients to zero. */
  public void zeroGradients() {
    for (Parameter p : parameters) {
      p.gradient().fill(0);
    }
  }

  /** Changes the learning rate of the next steps. */
  public void learningRate(double value) {
    setConfig(config.learningRate(value));
  }

  /** Learning rate of the next step. */
  public double learningRate() {
    return config.learningRate();
  }

  /** Hyperparameters of the next step. */
  public AdamWConfig config() {
    return config;
  }

  private void setConfig(AdamWConfig newConfig) {
    config = newConfig;
    nativeConfig.learning_rate((float) newConfig.learningRate());
    nativeConfig.beta1((float) newConfig.beta1()).beta2((float) newConfig.beta2());
    nativeConfig.epsilon((float) newConfig.epsilon());
    nativeConfig.decoupled(1);
    for (int i = 0; i < parameters.size(); i++) {
      descriptors
          .getPointer(lk_adamw_param.class, i)
          .weight_decay((float) newConfig.weightDecay())
          .learning_rate_scale(1);
    }
  }

  /** Steps taken. */
  public long stepCount() {
    return stepCount;
  }

  /** What is optimised, in the order of the states. */
  public List<Parameter> parameters() {
    return parameters;
  }

  /**
   * First moment (m) of parameter {@code index}, F32; owned by the optimiser, writable to restore a
   * checkpoint.
   */
  public Tensor expAvg(int index) {
    return expAvg.get(index);
  }

  /**
   * Second moment (v) of parameter {@code index}, F32; owned by the optimiser, writable to restore
   * a checkpoint.
   */
  public Tensor expAvgSq(int index) {
    return expAvgSq.get(index);
  }

  /**
   * Continues from a checkpoint, once the moments were written back.
   *
   * @param steps steps taken until then
   */
  public void restore(long steps) {
    if (steps < 0) {
      throw new InvalidArgumentException("restore: steps must be at least 0, but is " + steps);
    }
    stepCount = steps;
  }

  @Override
  public String toString() {
    return "AdamW over " + parameters.size() + " tensors";
  }
}
