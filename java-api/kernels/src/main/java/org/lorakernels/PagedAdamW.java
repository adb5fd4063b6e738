package org.lorakernels;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.javacpp.BytePointer;
import org.lorakernels.bindings.global.native_kernels;
import org.lorakernels.bindings.lk_adamw_config;
import org.lorakernels.bindings.lk_adamw_param;
import org.lorakernels.bindings.lk_adamw_report;
import org.lorakernels.bindings.lk_pager_tensor;

/**
 * AdamW over many tensors, one native call a step. Owns its states, not the parameters. Where
 * states exceed the budget of {@link PagedAdamWConfig}, their pages stream through memory in every
 * step; where they are never changes a result.
 *
 * <p>A step is all or nothing: one that throws has left parameters and states as they were (or says
 * that they are lost). {@link #close} from another thread ends a running step with a {@link
 * ClosedException}; a step that is past its last page of the file completes first.
 *
 * <p>Steps, registrations and exports may be called from several threads and run one after another.
 */
public final class PagedAdamW extends NativeOwner {
  private record Entry(Parameter parameter, long tensor, StateType states, boolean master) {}

  /** Elements that share one absmax in 8-bit states. */
  private static final long STATE_BLOCK = native_kernels.LK_STATE_BLOCK;

  private final StatePager pager;
  private final lk_adamw_config nativeConfig =
      new lk_adamw_config(NativeLibrary.descriptorMemory(lk_adamw_config.class, 1));
  private final lk_adamw_report report =
      new lk_adamw_report(NativeLibrary.descriptorMemory(lk_adamw_report.class, 1));
  private final List<Entry> entries = new ArrayList<>();
  private AdamWConfig config;
  private long stepCount;

  private PagedAdamW(StatePager pager, AdamWConfig config) {
    this.pager = pager;
    setConfig(config);
    own("AdamW", pager);
  }

  /**
   * An optimiser with all states in memory; see {@link #over(List, AdamWConfig, PagedAdamWConfig)}.
   */
  public static PagedAdamW over(List<Parameter> parameters, AdamWConfig config) {
    return over(parameters, config, PagedAdamWConfig.resident());
  }

  /**
   * An optimiser of parameters, with states of zero.
   *
   * @param parameters at least one: values F32 or BF16 with gradients F32 or BF16 of their shape,
   *     all contiguous and on one device; must stay open as long as steps are taken; names differ
   * @param config hyperparameters
   * @param paging where states are
   * @throws DeviceOutOfMemoryException if states exceed the budget and there is no spill directory,
   *     or the budget is less than small tensors and buffers need
   * @throws SpillException if the scratch file cannot be made there
   */
  public static PagedAdamW over(
      List<Parameter> parameters, AdamWConfig config, PagedAdamWConfig paging) {
    NativeLibrary.ensureLoaded();
    String operation = "PagedAdamW.over";
    if (parameters.isEmpty()) {
      throw new InvalidArgumentException(
          operation + ": parameters must not be empty: nothing would be trained");
    }
    Device device = parameters.get(0).value().device();
    PagedAdamW optimizer = new PagedAdamW(StatePager.open(operation, device, paging), config);
    try {
      optimizer.register(operation, parameters);
      return optimizer;
    } catch (RuntimeException failure) {
      optimizer.close();
      throw failure;
    }
  }

  /**
   * Optimises more parameters from the next step on, with states of zero; all or none of them.
   *
   * @param parameters as in {@link #over(List, AdamWConfig, PagedAdamWConfig)}
   */
  public void register(List<Parameter> parameters) {
    register("register", parameters);
  }

  private synchronized void register(String operation, List<Parameter> parameters) {
    parameters.forEach(p -> requireSupported(operation, p));
    requireNewNames(operation, parameters);
    if (parameters.isEmpty()) {
      return;
    }
    lk_pager_tensor tensors =
        new lk_pager_tensor(
            NativeLibrary.descriptorMemory(lk_pager_tensor.class, parameters.size()));
    for (int i = 0; i < parameters.size(); i++) {
      describe(tensors.getPointer(lk_pager_tensor.class, i), parameters.get(i));
    }
    whileOpen(
        operation,
        parameters,
        () -> {
          long first = pager.register(operation, tensors, parameters.size());
          for (Parameter parameter : parameters) {
            Tensor value = parameter.value();
            entries.add(
                new Entry(
                    parameter,
                    first++,
                    config.stateTypeOf(value.elementCount()),
                    config.hasMaster(value.dtype())));
          }
        });
  }

  private void describe(lk_pager_tensor tensor, Parameter parameter) {
    tensor.parameter(parameter.value().address()).gradient(parameter.gradient().address());
    tensor.count(parameter.value().elementCount());
    tensor.dtype(parameter.value().dtype().ordinal());
    tensor.gradient_dtype(parameter.gradient().dtype().ordinal());
    Tensor value = parameter.value();
    tensor.state_format(config.stateTypeOf(value.elementCount()).ordinal());
    tensor.master_weights(config.hasMaster(value.dtype()) ? 1 : 0);
    tensor.weight_decay((float) config.weightDecayOf(parameter.name()));
    tensor.learning_rate_scale((float) config.learningRateScaleOf(parameter.name()));
  }

  private void requireSupported(String operation, Parameter p) {
    Shapes.requireSame(operation, "gradient of " + p.name(), p.gradient(), p.value());
    Checks.sameDevice(operation, p.name(), p.value().device(), pager.device());
    Checks.sameDevice(operation, "gradient of " + p.name(), p.gradient().device(), pager.device());
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

  private void requireNewNames(String operation, List<Parameter> parameters) {
    Set<String> names = new HashSet<>();
    entries.forEach(entry -> names.add(entry.parameter.name()));
    for (Parameter parameter : parameters) {
      if (!names.add(parameter.name())) {
        throw new InvalidArgumentException(
            operation
                + ": parameters must have different names, but \""
                + parameter.name()
                + "\" is there twice");
      }
    }
  }

  /**
   * Forgets a parameter and its states.
   *
   * @param name of the parameter
   */
  public synchronized void drop(String name) {
    Entry entry =
        entries.stream()
            .filter(e -> e.parameter.name().equals(name))
            .findFirst()
            .orElseThrow(
                () ->
                    new InvalidArgumentException(
                        "drop: there is no parameter \"" + name + "\" in " + this));
    acquireUse("drop");
    try {
      pager.drop("drop", entry.tensor);
      entries.remove(entry);
    } finally {
      releaseUse();
    }
  }

  /** One step with the gradients as they are. */
  public StepResult step() {
    return step(1f);
  }

  /**
   * One step; none where a gradient is not finite, which the result says.
   *
   * @param gradientScale what gradients are multiplied by first: the inverse of a loss scale, a
   *     clipping factor
   * @throws SpillException if the scratch file failed; parameters and states are as before
   * @throws ClosedException if another thread closed the optimiser meanwhile; parameters are as
   *     before
   */
  public synchronized StepResult step(float gradientScale) {
    PagedStepEvent event = new PagedStepEvent();
    event.begin();
    whileOpen(
        "step",
        parameters(),
        () -> {
          PagerMetrics before = event.isEnabled() ? pager.metrics() : null;
          nativeConfig.gradient_scale(gradientScale).step(stepCount + 1);
          pager.step("step", nativeConfig, report);
          if (report.skipped() == 0) {
            stepCount++;
          }
          if (before != null) {
            event.step = stepCount;
            event.skipped = report.skipped() != 0;
            event.fill(before, pager.metrics());
          }
        });
    event.commit();
    return new StepResult(
        report.skipped() != 0,
        report.gradient_norm(),
        report.gradient_scale(),
        nameOf(report.first_non_finite()));
  }

  private String nameOf(long tensor) {
    for (Entry entry : entries) {
      if (entry.tensor == tensor) {
        return entry.parameter.name();
      }
    }
    return null;
  }

  /** Runs while this and the tensors of parameters are kept open. */
  private void whileOpen(String operation, List<Parameter> parameters, Runnable body) {
    acquireUse(operation);
    int acquired = 0;
    try {
      for (; acquired < parameters.size(); acquired++) {
        Parameter p = parameters.get(acquired);
        NativeOwner.acquireAll(operation, p.value(), p.gradient(), null, null, null);
      }
      body.run();
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
    for (Parameter p : parameters()) {
      p.gradient().fill(0);
    }
  }

  /** Changes the learning rate of the next steps. */
  public synchronized void learningRate(double value) {
    setConfig(config.learningRate(value));
  }

  /** Learning rate of the next step. */
  public synchronized double learningRate() {
    return config.learningRate();
  }

  /** Hyperparameters of the next step. */
  public synchronized AdamWConfig config() {
    return config;
  }

  private void setConfig(AdamWConfig newConfig) {
    config = newConfig;
    nativeConfig.learning_rate((float) newConfig.learningRate());
    nativeConfig.beta1((float) newConfig.beta1()).beta2((float) newConfig.beta2());
    nativeConfig.epsilon((float) newConfig.epsilon());
    nativeConfig.decoupled(newConfig.decoupled() ? 1 : 0);
    nativeConfig.max_gradient_norm((float) newConfig.maxGradNorm());
  }

  /** Steps taken; skipped ones are not counted. */
  public synchronized long stepCount() {
    return stepCount;
  }

  /** What is optimised, in the order of registration. */
  public synchronized List<Parameter> parameters() {
    return entries.stream().map(Entry::parameter).toList();
  }

  /** What it holds and has done. */
  public PagerMetrics metrics() {
    acquireUse("metrics");
    try {
      return pager.metrics();
    } finally {
      releaseUse();
    }
  }

  /** All states as plain tensors: what {@link #importStates} takes. */
  public synchronized List<StateTensor> states() {
    List<StateTensor> states = new ArrayList<>();
    for (Entry entry : entries) {
      for (int part = 0; part < StatePager.PARTS.size(); part++) {
        StateTensor state = state(entry, part);
        if (state != null) {
          states.add(state);
        }
      }
    }
    return states;
  }

  /** The state of that name; see {@link StateTensor#name}. */
  public StateTensor state(String name) {
    return states().stream()
        .filter(state -> state.name().equals(name))
        .findFirst()
        .orElseThrow(
            () -> new InvalidArgumentException("state: there is no \"" + name + "\" in " + this));
  }

  /** One part of a parameter's states; null where its format has no such part. */
  private StateTensor state(Entry entry, int part) {
    Tensor value = entry.parameter.value();
    String name = entry.parameter.name() + "." + StatePager.PARTS.get(part);
    boolean eightBit = entry.states == StateType.EIGHT_BIT;
    return switch (part) {
      case 0, 1 -> {
        DType dtype =
            switch (entry.states) {
              case F32 -> DType.F32;
              case BF16 -> DType.BF16;
              case EIGHT_BIT -> DType.U8;
            };
        yield new StateTensor(this, name, entry.tensor, part, dtype, value.shape());
      }
      case 2, 3 -> {
        long blocks = (value.elementCount() + STATE_BLOCK - 1) / STATE_BLOCK;
        yield eightBit ? new StateTensor(this, name, entry.tensor, part, DType.F32, blocks) : null;
      }
      default ->
          entry.master
              ? new StateTensor(this, name, entry.tensor, part, DType.F32, value.shape())
              : null;
    };
  }

  synchronized void read(StateTensor state, long from, ByteBuffer target) {
    long bytes = target.remaining();
    if (bytes == 0) {
      return;
    }
    read(state, from, bytes, new BytePointer(target).address() + target.position());
    Reference.reachabilityFence(target);
    target.position(target.limit());
  }

  synchronized void read(StateTensor state, Tensor target) {
    if (target.byteSize() > 0) {
      read(state, 0, target.byteSize(), target.address());
    }
  }

  private void read(StateTensor state, long from, long bytes, long target) {
    whileOpen(
        "read " + state.name(),
        parameters(),
        () ->
            pager.read("read " + state.name(), state.tensor(), state.part(), from, bytes, target));
  }

  /**
   * Replaces all states: to the same bits, steps go on from here as they would have where the
   * states came from. All or nothing.
   *
   * @param steps steps taken until then
   * @param values exactly the tensors of {@link #states}, by name, with their dtypes and shapes, on
   *     a CPU device and contiguous; not closed
   */
  public synchronized void importStates(long steps, Map<String, Tensor> values) {
    if (steps < 0) {
      throw new InvalidArgumentException("importStates: steps must be at least 0, but is " + steps);
    }
    List<StateTensor> states = states();
    states.forEach(state -> requireFitting(state, values.get(state.name())));
    if (values.size() != states.size()) {
      Set<String> unknown = new HashSet<>(values.keySet());
      states.forEach(state -> unknown.remove(state.name()));
      throw new InvalidArgumentException("importStates: no parameter has these states: " + unknown);
    }
    long[] tensors = new long[entries.size()];
    lk_adamw_param descriptors =
        new lk_adamw_param(
            NativeLibrary.descriptorMemory(lk_adamw_param.class, Math.max(1, tensors.length)));
    for (int i = 0; i < tensors.length; i++) {
      tensors[i] = entries.get(i).tensor;
      lk_adamw_param descriptor = descriptors.getPointer(lk_adamw_param.class, i);
      String name = entries.get(i).parameter.name();
      descriptor.exp_avg(address(values, name, 0)).exp_avg_sq(address(values, name, 1));
      descriptor.absmax1(address(values, name, 2)).absmax2(address(values, name, 3));
      descriptor.master(address(values, name, 4));
    }
    whileOpen(
        "importStates",
        parameters(),
        () -> pager.importStates("importStates", tensors, descriptors));
    stepCount = steps;
  }

  private static long address(Map<String, Tensor> values, String parameter, int part) {
    Tensor value = values.get(parameter + "." + StatePager.PARTS.get(part));
    return value == null ? 0 : value.address();
  }

  private static void requireFitting(StateTensor state, Tensor value) {
    String operation = "importStates: \"" + state.name() + "\"";
    if (value == null) {
      throw new InvalidArgumentException(operation + " must be given, but is not");
    }
    boolean fits =
        value.dtype() == state.dtype()
            && Arrays.equals(value.shape(), state.shape())
            && value.isContiguous()
            && value.device().backend() == Backend.CPU;
    if (!fits) {
      throw new InvalidArgumentException(
          operation
              + " must be contiguous "
              + state.dtype()
              + " "
              + Arrays.toString(state.shape())
              + " on a CPU device, but is "
              + value);
    }
  }

  /** Frees the states; a step that runs in another thread is undone. Idempotent. */
  @Override
  public void close() {
    if (!isClosed()) {
      try {
        acquireUse("close");
      } catch (ClosedException another) {
        return; // another thread closed it meanwhile
      }
      try {
        pager.cancel();
      } finally {
        releaseUse();
      }
    }
    super.close();
  }

  @Override
  public String toString() {
    return "AdamW over " + entries.size() + " tensors";
  }
}
