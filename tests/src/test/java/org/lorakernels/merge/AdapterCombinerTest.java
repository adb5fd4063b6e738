package org.lorakernels.merge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraAdapter;
import org.lorakernels.LoraConfig;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.MergeKernels;
import org.lorakernels.ShapeMismatchException;
import org.lorakernels.Tensor;
import org.lorakernels.merge.Adapters.Shape;
import org.lorakernels.peft.PeftAdapter;

/** Combining adapters: different targets and ranks, what is refused, and what is written. */
class AdapterCombinerTest {
  private static final String Q = "model.layers.0.self_attn.q_proj";
  private static final String UP = "model.layers.0.mlp.up_proj";
  private static final Shape SQUARE = new Shape(24, 24);

  private final Device device = Device.cpu();
  private final List<PeftAdapter> loaded = new ArrayList<>();

  @TempDir Path directory;

  @AfterEach
  void close() {
    loaded.forEach(PeftAdapter::close);
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  private WeightedAdapter adapter(Map<String, Shape> modules, int rank, float weight) {
    Path path = directory.resolve("adapter" + loaded.size());
    Adapters.write(
        device, path, modules, LoraConfig.rank(rank).alpha(2 * rank), 100L * loaded.size());
    loaded.add(PeftAdapter.load(device, path));
    return new WeightedAdapter(loaded.get(loaded.size() - 1), weight);
  }

  private static CombineConfig config(CombineMethod method) {
    CombineConfig config = CombineConfig.of(method);
    return method.needsDensity() ? config.density(0.5) : config;
  }

  private static void refuses(
      Class<? extends LoraKernelsException> type, Executable action, String... words) {
    String message = assertThrows(type, action).getMessage();
    for (String word : words) {
      assertTrue(message.contains(word), message);
    }
  }

  @ParameterizedTest
  @EnumSource(value = CombineMethod.class, mode = EnumSource.Mode.EXCLUDE, names = "SLERP")
  void everyMethodGivesAnAdapterThatLoads(CombineMethod method) {
    WeightedAdapter a = adapter(Map.of(Q, SQUARE, UP, new Shape(31, 24)), 3, 0.7f);
    WeightedAdapter b = adapter(Map.of(Q, SQUARE), 3, -0.4f);
    AdapterCombiner combiner = new AdapterCombiner(List.of(a, b), config(method));
    Path out = directory.resolve("out");
    combiner.save(out);
    try (PeftAdapter result = PeftAdapter.load(device, out)) {
      assertEquals(Set.of(Q, UP), result.modules().keySet());
      assertEquals(combiner.rank(), result.config().rank());
      for (LoraAdapter lora : result.modules().values()) {
        assertEquals(1f, lora.scaling());
        double size = MergeKernels.dot(lora.b(), lora.b());
        assertTrue(size > 0 && Double.isFinite(size), "the adapter does something");
      }
    }
  }

  @Test
  void aModuleIsCombinedFromTheAdaptersThatHaveIt() {
    WeightedAdapter a = adapter(Map.of(UP, SQUARE), 2, 1);
    WeightedAdapter b = adapter(Map.of(Q, SQUARE), 2, 0.25f);
    AdapterCombiner combiner =
        new AdapterCombiner(List.of(a, b), CombineConfig.of(CombineMethod.CAT));
    assertEquals(4, combiner.rank());
    try (LoraAdapter combined = combiner.combine(Q);
        Tensor used = combined.a().slice(0, 2);
        Tensor filler = combined.a().slice(2, 4)) {
      float[] expected = b.adapter().modules().get(Q).a().toFloatArray();
      for (int i = 0; i < expected.length; i++) {
        expected[i] *= 0.25f * 2; // weight * scaling
      }
      assertArrayEquals(expected, used.toFloatArray());
      assertArrayEquals(new float[expected.length], filler.toFloatArray());
    }
  }

  /** PEFT combines a single adapter by linear, whatever was asked for. */
  @Test
  void aSingleAdapterIsScaled() {
    WeightedAdapter only = adapter(Map.of(Q, SQUARE), 2, 3);
    AdapterCombiner combiner = new AdapterCombiner(List.of(only), config(CombineMethod.DARE_TIES));
    assertEquals(CombineMethod.LINEAR, combiner.method());
  }

  @Test
  void refusesRanksThatTheMethodCannotCombine() {
    WeightedAdapter a = adapter(Map.of(Q, SQUARE), 2, 1);
    WeightedAdapter b = adapter(Map.of(Q, SQUARE), 3, 1);
    refuses(
        InvalidArgumentException.class,
        () -> new AdapterCombiner(List.of(a, b), config(CombineMethod.TIES)),
        "ties needs adapters of one rank",
        "2",
        "3",
        "svd");
    AdapterCombiner svd = new AdapterCombiner(List.of(a, b), config(CombineMethod.TIES_SVD));
    assertEquals(3, svd.rank());
    assertEquals(7, new AdapterCombiner(List.of(a, b), config(CombineMethod.SVD).rank(7)).rank());
  }

  @Test
  void refusesAdaptersOfAnotherModel() {
    WeightedAdapter a = adapter(Map.of(Q, SQUARE), 2, 1);
    WeightedAdapter b = adapter(Map.of(Q, new Shape(24, 32)), 2, 1);
    refuses(
        ShapeMismatchException.class,
        () -> new AdapterCombiner(List.of(a, b), config(CombineMethod.LINEAR)),
        Q,
        "[24, 24]",
        "[24, 32]");
  }

  @Test
  void refusesValuesAndWeightsThatMeanNothing() {
    WeightedAdapter a = adapter(Map.of(Q, SQUARE), 2, 1);
    WeightedAdapter zero = new WeightedAdapter(a.adapter(), 0);
    refuses(
        InvalidArgumentException.class,
        () -> new AdapterCombiner(List.of(zero, zero), config(CombineMethod.LINEAR)),
        "every weight is 0");
    refuses(
        InvalidArgumentException.class,
        () -> new WeightedAdapter(a.adapter(), Float.NaN),
        "finite",
        "NaN");
    refuses(
        InvalidArgumentException.class,
        () -> new AdapterCombiner(List.of(), config(CombineMethod.LINEAR)),
        "at least one adapter");
    a.adapter().modules().get(Q).b().set(Float.NaN, 3, 1);
    refuses(
        InvalidArgumentException.class,
        () -> new AdapterCombiner(List.of(a, a), config(CombineMethod.LINEAR)),
        Q + ".lora_B",
        "NaN");
  }

  @Test
  void refusesParametersOutOfRange() {
    for (double density : new double[] {0, -0.1, 1.01, Double.NaN}) {
      refuses(
          InvalidArgumentException.class,
          () -> CombineConfig.of(CombineMethod.TIES).density(density),
          "density",
          "(0, 1]");
    }
    WeightedAdapter a = adapter(Map.of(Q, SQUARE), 2, 1);
    refuses(
        InvalidArgumentException.class,
        () -> new AdapterCombiner(List.of(a, a), CombineConfig.of(CombineMethod.TIES)),
        "density",
        "ties");
    refuses(
        InvalidArgumentException.class,
        () -> CombineConfig.of(CombineMethod.SVD).rank(257),
        "1 ... 256");
    refuses(
        InvalidArgumentException.class,
        () -> CombineMethod.named("tie"),
        "\"tie\"",
        "dare_ties_svd");
    refuses(
        InvalidArgumentException.class,
        () -> new AdapterCombiner(List.of(a, a), CombineConfig.of(CombineMethod.SLERP)),
        "slerp");
  }

  @Test
  void countsOpposingSigns() {
    WeightedAdapter a = adapter(Map.of(Q, SQUARE), 2, 1);
    LoraAdapter lora = a.adapter().modules().get(Q);
    assertEquals(0, SignConflicts.count(List.of(lora, lora), new float[] {1, 2}).share());
    assertEquals(1, SignConflicts.count(List.of(lora, lora), new float[] {1, -2}).share());
  }
}
