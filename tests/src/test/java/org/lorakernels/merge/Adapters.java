package org.lorakernels.merge;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.Tensor;
import org.lorakernels.peft.PeftAdapter;
import org.lorakernels.peft.PeftConfig;

/** Random adapters for tests, written and read as PEFT's files. */
final class Adapters {
  private Adapters() {}

  /** Shape of a module's weight. */
  record Shape(long rows, long cols) {}

  /** A new adapter with normally distributed A and B. */
  static LoraAdapter random(Device device, Shape shape, LoraConfig config, long seed) {
    Random random = new Random(seed);
    Tensor a = filled(device, config.dtype(), random, config.rank(), shape.cols);
    Tensor b = filled(device, config.dtype(), random, shape.rows, config.rank());
    return LoraAdapter.of(config, a, b);
  }

  private static Tensor filled(Device device, DType dtype, Random random, long rows, long cols) {
    float[] values = new float[(int) (rows * cols)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (0.1 * random.nextGaussian());
    }
    Tensor tensor = Tensor.zeros(device, dtype, rows, cols);
    tensor.copyFrom(values);
    return tensor;
  }

  /** Saves random adapters of the modules. */
  static Path write(
      Device device, Path directory, Map<String, Shape> modules, LoraConfig config, long seed) {
    Map<String, LoraAdapter> all = new LinkedHashMap<>();
    modules.forEach(
        (module, shape) -> all.put(module, random(device, shape, config, seed + all.size())));
    PeftAdapter.save(directory, PeftConfig.describing(all), all);
    all.values().forEach(LoraAdapter::close);
    return directory;
  }
}
