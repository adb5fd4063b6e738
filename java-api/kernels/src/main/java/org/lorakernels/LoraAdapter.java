package org.lorakernels;

import java.util.List;
import java.util.SplittableRandom;
import org.lorakernels.bindings.lk_lora;

/**
 * A LoRA adapter of one weight [N, K]: A [rank, K], B [N, rank] and their gradients; what it adds
 * to the weight is scaling * B * A. Owns its tensors.
 *
 * <p>Dropout on the adapter's input is on while {@link #isTraining}. Its mask is a function of the
 * config's seed, {@link #dropoutStep} and the coordinate of the element, so backward makes the mask
 * of forward again, as long as neither is changed between the two.
 */
public final class LoraAdapter extends NativeOwner {
  private final LoraConfig config;
  private final Tensor a;
  private final Tensor b;
  private final Gradients gradients = new Gradients();
  private final lk_lora descriptor;
  private boolean training = true;
  private long dropoutStep;

  /** Made on first use; an adapter that only serves has none. */
  private static final class Gradients {
    private Tensor a;
    private Tensor b;

    void close() {
      if (a != null) {
        a.close();
      }
      if (b != null) {
        b.close();
      }
    }
  }

  private LoraAdapter(LoraConfig config, Tensor a, Tensor b) {
    this.config = config;
    this.a = a;
    this.b = b;
    descriptor = new lk_lora(NativeLibrary.descriptorMemory(lk_lora.class, 1));
    a.describe(descriptor.a());
    b.describe(descriptor.b());
    descriptor.scaling(config.scaling()).dropout(config.dropout()).seed(config.seed());
    Gradients made = gradients;
    own(
        "LoRA adapter " + this,
        () -> {
          a.close();
          b.close();
          made.close();
        });
  }

  /**
   * A new adapter as PEFT initialises it: A uniform in +-1 / sqrt(K) (Kaiming with a = sqrt 5) from
   * the config's seed, B zero, so that it changes nothing at first.
   *
   * @param weight the weight that it adapts, [N, K]
   * @param config its hyperparameters
   */
  public static LoraAdapter create(Weight weight, LoraConfig config) {
    long n = weight.rows();
    long k = weight.cols();
    if (config.rank() * Math.max(k, n) > Integer.MAX_VALUE - 8) {
      throw new UnsupportedException(
          "LoraAdapter.create: rank * " + Math.max(k, n) + " passes 2^31");
    }
    SplittableRandom random = new SplittableRandom(config.seed());
    float bound = (float) (1 / Math.sqrt(Math.max(1, k)));
    float[] values = new float[(int) (config.rank() * k)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (random.nextDouble() * 2 - 1) * bound;
    }
    Tensor a = Tensor.zeros(weight.device(), config.dtype(), config.rank(), k);
    try {
      a.copyFrom(values);
      Tensor b = Tensor.zeros(weight.device(), config.dtype(), n, config.rank());
      return new LoraAdapter(config, a, b);
    } catch (RuntimeException failure) {
      a.close();
      throw failure;
    }
  }

  /**
   * An adapter of given tensors, which it takes over (they are closed with it).
   *
   * @param config its hyperparameters; rank and dtype must be those of the tensors
   * @param a [rank, K], F32, BF16 or F16
   * @param b [N, rank], dtype of a
   */
  public static LoraAdapter of(LoraConfig config, Tensor a, Tensor b) {
    String operation = "LoraAdapter.of";
    Checks.sameDevice(operation, "b", b.device(), a.device());
    if (a.rows() != config.rank() || b.cols() != config.rank()) {
      throw new ShapeMismatchException(
          operation
              + ": a must be ["
              + config.rank()
              + ", K] and b [N, "
              + config.rank()
              + "] (rank of the config), but a is "
              + a
              + " and b is "
              + b);
    }
    if (a.dtype() != config.dtype() || b.dtype() != config.dtype()) {
      throw new InvalidArgumentException(
          operation
              + ": a and b must be "
              + config.dtype()
              + " (dtype of the config), but a is "
              + a
              + " and b is "
              + b);
    }
    return new LoraAdapter(config, a, b);
  }

  /** Hyperparameters. */
  public LoraConfig config() {
    return config;
  }

  /** Rank r. */
  public int rank() {
    return config.rank();
  }

  /** What B * A is multiplied by. */
  public float scaling() {
    return config.scaling();
  }

  /** Out features N of the weight. */
  public long rows() {
    return b.rows();
  }

  /** In features K of the weight. */
  public long cols() {
    return a.cols();
  }

  /** Where it lives. */
  public Device device() {
    return a.device();
  }

  /** A [rank, K]; owned by the adapter. */
  public Tensor a() {
    return a;
  }

  /** B [N, rank]; owned by the adapter. */
  public Tensor b() {
    return b;
  }

  /** Gradient of A, F32 [rank, K], zero until backward adds to it; owned by the adapter. */
  public Tensor gradA() {
    ensureGradients("gradA");
    return gradients.a;
  }

  /** Gradient of B, F32 [N, rank], zero until backward adds to it; owned by the adapter. */
  public Tensor gradB() {
    ensureGradients("gradB");
    return gradients.b;
  }

  /** A and B with their gradients, named {@code lora_A} and {@code lora_B}. */
  public List<Parameter> parameters() {
    return List.of(new Parameter("lora_A", a, gradA()), new Parameter("lora_B", b, gradB()));
  }

  /** Sets both gradients to zero. */
  public void zeroGradients() {
    gradA().fill(0);
    gradB().fill(0);
  }

  /** Switches dropout on (training, the default) or off (evaluation); returns this. */
  public LoraAdapter training(boolean on) {
    training = on;
    descriptor.dropout(on ? config.dropout() : 0f);
    return this;
  }

  /** Whether dropout is on. */
  public boolean isTraining() {
    return training;
  }

  /** Chooses the dropout mask: another step, another mask. */
  public void dropoutStep(long step) {
    dropoutStep = step;
    descriptor.step(step);
  }

  /** Which dropout mask is in use. */
  public long dropoutStep() {
    return dropoutStep;
  }

  lk_lora descriptor() {
    return descriptor;
  }

  synchronized void ensureGradients(String operation) {
    if (gradients.b != null) {
      return;
    }
    acquireUse(operation);
    try {
      gradients.a = Tensor.zeros(device(), DType.F32, a.shape());
      gradients.b = Tensor.zeros(device(), DType.F32, b.shape());
      gradients.a.describe(descriptor.grad_a());
      gradients.b.describe(descriptor.grad_b());
    } finally {
      releaseUse();
    }
  }

  @Override
  public String toString() {
    return config + " of [" + b.rows() + ", " + a.cols() + "]";
  }
}
