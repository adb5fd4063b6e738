package org.lorakernels.merge;

import java.nio.file.Path;
import java.util.List;
import org.lorakernels.Device;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.peft.PeftAdapter;

/**
 * A merge in a process of its own, to be killed or starved: arguments are model, adapter, target,
 * bytes of a shard, milliseconds to wait after every weight.
 */
final class MergeProcess {
  static final int REFUSED = 3;

  private MergeProcess() {}

  public static void main(String[] arguments) {
    long pause = Long.parseLong(arguments[4]);
    try (Device device = Device.cpu();
        PeftAdapter adapter = PeftAdapter.load(device, Path.of(arguments[1]))) {
      CheckpointMerger.of(Path.of(arguments[0]))
          .adapters(
              List.of(new WeightedAdapter(adapter, 1)), CombineConfig.of(CombineMethod.LINEAR))
          .maxShardBytes(Long.parseLong(arguments[3]))
          .progress(
              (done, total, tensor) -> {
                System.out.println(tensor);
                sleep(pause);
              })
          .merge(device, Path.of(arguments[2]));
    } catch (LoraKernelsException failure) {
      System.out.println("FAILED: " + failure.getMessage());
      System.exit(REFUSED);
    }
  }

  private static void sleep(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
