package org.lorakernels.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.lorakernels.AdamWConfig;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernels;
import org.lorakernels.Nf4Tensor;
import org.lorakernels.PagedAdamW;
import org.lorakernels.Tensor;
import org.lorakernels.Weight;

/**
 * Fits a LoRA to what quantisation lost of one weight: minimises |x Wᵀ - fused(x)|² over normal
 * inputs x, where fused is the 4-bit weight with the adapter. Since the loss of quantisation is
 * nearly noise, a small rank can take back a part of it, no more: the singular values beyond the
 * rank stay.
 */
final class AdapterFit {
  /** Rows of a batch of inputs. */
  static final int BATCH = 64;

  /**
   * Batches drawn once and used in turn; with their {@value} * {@value #BATCH} rows they span every
   * input of these layers.
   */
  private static final int BATCHES = 16;

  /** Of the steps, the share in which the learning rate rises. */
  private static final double WARM_UP = 0.1;

  private final int rank;
  private final int steps;
  private final double learningRate;
  private final long seed;

  AdapterFit(int rank, int steps, double learningRate, long seed) {
    this.rank = rank;
    this.steps = steps;
    this.learningRate = learningRate;
    this.seed = seed;
  }

  /**
   * The outcome for one weight. Owns the adapter.
   *
   * @param adapter the fitted adapter
   * @param before relative error of the output without the adapter, on inputs not used for fitting
   * @param after relative error with it, on the same inputs
   */
  record Result(LoraAdapter adapter, double before, double after) {}

  /**
   * Fits.
   *
   * @param dense the weight before quantisation
   * @param quantized the same in 4 bits
   * @param index number of the weight: it seeds inputs and adapter
   */
  Result fit(Device device, Weight dense, Nf4Tensor quantized, int index) {
    SplittableRandom random = new SplittableRandom(seed * 1_000_003 + index);
    int actualRank = (int) Math.min(rank, Math.min(dense.rows(), dense.cols()));
    LoraConfig config = LoraConfig.rank(actualRank).seed(random.nextLong());
    LoraAdapter adapter = LoraAdapter.create(quantized, config);
    List<Tensor> inputs = new ArrayList<>();
    List<Tensor> targets = new ArrayList<>();
    try (Tensor held = Floats.normal(device, random, BATCH, dense.cols());
        Tensor expected = LoraKernels.matmul(held, dense);
        Tensor plain = LoraKernels.matmul(held, quantized)) {
      double before = Floats.relativeError(plain, expected);
      for (int i = 0; i < BATCHES; i++) {
        inputs.add(Floats.normal(device, random, BATCH, dense.cols()));
        targets.add(LoraKernels.matmul(inputs.get(i), dense));
      }
      train(quantized, adapter, inputs, targets);
      try (Tensor adapted = LoraKernels.fusedForward(held, quantized, adapter)) {
        return new Result(adapter, before, Floats.relativeError(adapted, expected));
      }
    } catch (RuntimeException failure) {
      adapter.close();
      throw failure;
    } finally {
      inputs.forEach(Tensor::close);
      targets.forEach(Tensor::close);
    }
  }

  private void train(
      Nf4Tensor weight, LoraAdapter adapter, List<Tensor> inputs, List<Tensor> targets) {
    AdamWConfig config = AdamWConfig.defaults().weightDecay(0).betas(0.9, 0.99);
    float gradient = 2f / (BATCH * weight.rows());
    try (PagedAdamW optimizer = PagedAdamW.over(adapter.parameters(), config);
        Tensor y = targets.get(0).copy();
        Tensor dy = targets.get(0).copy()) {
      for (int step = 0; step < steps; step++) {
        Tensor x = inputs.get(step % BATCHES);
        LoraKernels.fusedForward(x, weight, null, adapter, y);
        Floats.scaledDifference(y, targets.get(step % BATCHES), gradient, dy);
        LoraKernels.fusedBackward(x, dy, weight, adapter, null);
        optimizer.learningRate(learningRate * schedule(step));
        optimizer.step();
        optimizer.zeroGradients();
      }
    }
  }

  /** Linear warm-up, then cosine to zero. */
  private double schedule(int step) {
    double warmUp = Math.max(1, WARM_UP * steps);
    if (step < warmUp) {
      return (step + 1) / warmUp;
    }
    return 0.5 * (1 + Math.cos(Math.PI * (step - warmUp) / Math.max(1, steps - warmUp)));
  }
}
