package org.lorakernels.facade;

import java.util.function.Supplier;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.Tensor;
import org.lorakernels.TransformerKernels;

/**
 * Works on a GPU until something goes wrong, prints what, goes on as far as the device allows, and
 * then works on the CPU.
 */
final class FaultyGpu {
  private FaultyGpu() {}

  public static void main(String[] arguments) {
    attempt("open", FaultyGpu::work);
    try (Device cpu = Device.cpu();
        Tensor ones = Tensor.of(cpu, new float[] {1, 1}, 2)) {
      TransformerKernels.scale(ones, 2, ones);
      System.out.println("cpu: " + ones.get(1));
    }
  }

  private static String work() {
    try (Device gpu = Device.cuda(0)) {
      Tensor ones = Tensor.of(gpu, new float[] {1, 1}, 2);
      attempt(
          "scale",
          () -> {
            TransformerKernels.scale(ones, 2, ones);
            return "queued";
          });
      attempt("values", () -> String.valueOf(ones.toFloatArray()[1]));
      attempt(
          "huge",
          () -> {
            Tensor.zeros(gpu, DType.F32, 1L << 20, 1L << 20).close();
            return "allocated";
          });
      attempt("again", () -> String.valueOf(ones.toFloatArray()[1]));
      ones.close();
      return "closed, live " + gpu.memory().allocatedBytes();
    }
  }

  private static void attempt(String what, Supplier<String> body) {
    try {
      System.out.println(what + ": " + body.get());
    } catch (LoraKernelsException failure) {
      System.out.println(
          what + ": " + failure.getClass().getSimpleName() + ": " + failure.getMessage());
    }
  }
}
