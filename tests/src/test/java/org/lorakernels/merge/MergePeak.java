package org.lorakernels.merge;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.lorakernels.Device;
import org.lorakernels.peft.PeftAdapter;

/**
 * A TIES merge of two adapters in a process of its own, which prints the most memory that was ever
 * resident in it, in bytes. Arguments: model, two adapters, target, "trace" to print it after every
 * weight.
 */
final class MergePeak {
  private MergePeak() {}

  public static void main(String[] arguments) throws IOException {
    boolean trace = arguments.length > 4;
    try (Device device = Device.cpu();
        PeftAdapter one = PeftAdapter.map(device, Path.of(arguments[1]));
        PeftAdapter two = PeftAdapter.map(device, Path.of(arguments[2]))) {
      CheckpointMerger.of(Path.of(arguments[0]))
          .adapters(
              List.of(new WeightedAdapter(one, 1), new WeightedAdapter(two, 1)),
              CombineConfig.of(CombineMethod.TIES).density(0.5))
          .progress(
              (done, total, tensor) -> {
                if (trace) System.out.println(tensor + " " + ResidentMemory.of("VmHWM"));
              })
          .merge(device, Path.of(arguments[3]));
    }
    System.out.println(ResidentMemory.of("VmHWM"));
  }
}
