package org.lorakernels.merge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.Device;
import org.lorakernels.LoraConfig;
import org.lorakernels.merge.Adapters.Shape;
import org.lorakernels.oracle.ChildJvm;
import org.lorakernels.peft.PeftAdapter;

/** The memory of a merge does not grow with the model, nor with the adapters. */
class MergeMemoryTest {
  @TempDir Path directory;

  @Test
  void memoryIsThatOfOneWeight() throws IOException {
    SparseLlama llama = new SparseLlama(1024, 4);
    Map<String, Shape> projections = llama.projections();
    Path model = directory.resolve("model");
    long modelBytes = llama.write(model);
    try (Device device = Device.cpu()) {
      Path one = directory.resolve("one");
      Path two = directory.resolve("two");
      Adapters.write(device, one, projections, LoraConfig.rank(8), 1);
      Adapters.write(device, two, projections, LoraConfig.rank(8), 2);
      try (PeftAdapter a = PeftAdapter.load(device, one);
          PeftAdapter b = PeftAdapter.load(device, two)) {
        long before = device.memory().allocatedBytes();
        long mappedBefore = ResidentMemory.of("RssFile");
        long[] mapped = new long[1];
        MergeReport report =
            CheckpointMerger.of(model)
                .adapters(
                    List.of(new WeightedAdapter(a, 1), new WeightedAdapter(b, 1)),
                    CombineConfig.of(CombineMethod.TIES).density(0.5))
                .maxShardBytes(40_000_000)
                .progress(
                    (done, total, tensor) ->
                        mapped[0] =
                            Math.max(mapped[0], ResidentMemory.of("RssFile") - mappedBefore))
                .merge(device, directory.resolve("out"));
        assertEquals(projections.size(), report.changed().size());
        assertEquals(modelBytes, report.resultBytes());
        long largest = 2L * llama.mlp() * llama.width();
        // beside the merged weight: the combined adapter and its pruned parts, in F32
        long factors = 4L * 8 * (llama.mlp() + llama.width()) * (2 + 1);
        long taken = device.memory().allocatedPeakBytes() - before;
        assertTrue(
            taken <= largest + factors,
            "allocated " + taken + " for weights of at most " + largest + " and " + factors);
        assertTrue(taken * 10 < modelBytes, "far less than the model's " + modelBytes);
        // what a closed weight has read of the mapped model does not stay; classes may be loaded
        long embeddings = 2L * llama.vocabulary() * llama.width();
        assertTrue(
            mapped[0] < 2 * embeddings,
            mapped[0] + " bytes of files stay in memory, of the model's " + modelBytes);
      }
    }
  }

  /** The peak of a whole process; of 70B it was measured by hand (bench/RESULTS.md). */
  @Test
  void thePeakDoesNotGrowWithModelAndAdapters() throws IOException, InterruptedException {
    int rank = 128;
    long[] peaks = new long[2];
    long[] bytes = new long[2];
    int[] layers = {2, 8};
    for (int i = 0; i < 2; i++) {
      SparseLlama llama = new SparseLlama(1024, layers[i]);
      Path home = directory.resolve("layers" + layers[i]);
      llama.write(home.resolve("model"));
      bytes[i] = llama.writeAdapter(home.resolve("one"), rank);
      bytes[i] += llama.writeAdapter(home.resolve("two"), rank);
      ChildJvm.Result result =
          ChildJvm.of(MergePeak.class)
              .option("-Xmx64m")
              .run(
                  home.resolve("output"),
                  home.resolve("model").toString(),
                  home.resolve("one").toString(),
                  home.resolve("two").toString(),
                  home.resolve("merged").toString());
      assertEquals(0, result.exitCode(), result.output());
      List<String> lines = result.output().lines().toList(); // Java 25 warns before the peak
      peaks[i] = Long.parseLong(lines.get(lines.size() - 1));
    }
    // a third is left for what differs between two runs of a JVM
    long grown = peaks[1] - peaks[0];
    assertTrue(
        3 * grown < bytes[1] - bytes[0],
        "from " + peaks[0] + " to " + peaks[1] + ", adapters from " + bytes[0] + " to " + bytes[1]);
  }
}
