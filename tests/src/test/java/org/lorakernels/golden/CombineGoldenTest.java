package org.lorakernels.golden;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.lorakernels.DType;
import org.lorakernels.LoraAdapter;
import org.lorakernels.MergeKernels.SignElection;
import org.lorakernels.Tensor;
import org.lorakernels.merge.AdapterCombiner;
import org.lorakernels.merge.CombineConfig;
import org.lorakernels.merge.CombineMasks;
import org.lorakernels.merge.CombineMethod;
import org.lorakernels.merge.TensorCombiner;
import org.lorakernels.merge.WeightedAdapter;
import org.lorakernels.oracle.Compare;
import org.lorakernels.oracle.Matrix;
import org.lorakernels.oracle.Scope;
import org.lorakernels.oracle.TestDevice;
import org.lorakernels.oracle.Tolerance;
import org.lorakernels.peft.PeftAdapter;

/** The combining methods against PEFT: on plain tensors, and on adapters. */
@Tag(TestDevice.TAG)
class CombineGoldenTest implements GoldenSuite {
  private static final GoldenFile FUNCTIONS = GoldenFile.open("merge/functions.safetensors");
  private static final GoldenFile ADAPTERS = GoldenFile.open("merge/weighted_adapter.safetensors");
  private static final Tolerance SUMS =
      Tolerance.ofMax(2e-6, "a sum of three products in F32, rounded in another order");
  private static final Tolerance SVD =
      Tolerance.ofMax(2e-5, "two implementations of the SVD in F32");

  @Override
  @TestFactory
  public Stream<DynamicTest> cases() {
    Stream<DynamicTest> functions =
        FUNCTIONS.names().stream()
            .filter(name -> !name.contains("mask") && !name.startsWith("task0"))
            .filter(name -> name.contains(".") || name.equals("task_arithmetic"))
            .map(name -> dynamicTest(name, () -> checkFunction(name)));
    Stream<DynamicTest> adapters =
        ADAPTERS.cases().stream()
            .map(golden -> dynamicTest(golden.id(), () -> checkAdapters(golden)));
    return Stream.concat(functions, adapters);
  }

  // ---- plain tensors

  /** The name says what was done: {@code ties.frequency.d0.3}. */
  private static void checkFunction(String name) {
    try (Scope scope = Scope.open()) {
      String method = name.contains(".") ? name.substring(0, name.indexOf('.')) : name;
      CombineConfig config = CombineConfig.of(CombineMethod.named(method));
      if (name.contains(".d0")) {
        config = config.density(Double.parseDouble(name.substring(name.indexOf(".d") + 2)));
      }
      if (name.contains(".frequency.")) {
        config = config.majoritySign(SignElection.FREQUENCY);
      }
      if (FUNCTIONS.has(name + ".mask0")) {
        config =
            config.masks(
                (module, part, index) -> scope.tensor(FUNCTIONS.get(name + ".mask" + index)));
      }
      List<Tensor> tasks = new ArrayList<>();
      for (int i = 0; FUNCTIONS.has("task" + i); i++) {
        tasks.add(scope.tensor(FUNCTIONS.get("task" + i)));
      }
      Tensor out = scope.zeros(DType.F32, FUNCTIONS.get(name).shape());
      new TensorCombiner(config)
          .combine(
              "", CombineMasks.Part.DELTA, tasks, FUNCTIONS.get("weights").floats(), false, out);
      Compare.close(name, FUNCTIONS.get(name).doubles(), out.toFloatArray(), SUMS);
    }
  }

  // ---- adapters

  private static void checkAdapters(GoldenCase golden) {
    List<PeftAdapter> loaded = new ArrayList<>();
    // the SVD is LAPACK's, on the CPU alone
    boolean svd = golden.text("combination_type").contains("svd");
    try (Scope scope = svd ? Scope.cpu() : Scope.open()) {
      List<WeightedAdapter> adapters = new ArrayList<>();
      for (String name : golden.texts("adapters")) {
        loaded.add(PeftAdapter.load(scope.device(), directory().resolve(name)));
        float weight = golden.numbers("weights").get(adapters.size()).floatValue();
        adapters.add(new WeightedAdapter(loaded.get(loaded.size() - 1), weight));
      }
      AdapterCombiner combiner = new AdapterCombiner(adapters, config(golden, scope));
      assertEquals(golden.integer("result_r"), combiner.rank(), "rank");
      for (String module : golden.texts("module_order")) {
        LoraAdapter combined = scope.own(combiner.combine(module));
        assertEquals(golden.number("result_scaling"), combined.scaling(), "scaling");
        checkModule(golden.id() + "." + module, combined);
      }
      loaded.forEach(PeftAdapter::close);
    }
  }

  private static void checkModule(String prefix, LoraAdapter combined) {
    float[] a = combined.a().toFloatArray();
    float[] b = combined.b().toFloatArray();
    if (ADAPTERS.has(prefix + ".A")) {
      Compare.close(prefix + ".A", ADAPTERS.get(prefix + ".A").doubles(), a, SUMS);
      Compare.close(prefix + ".B", ADAPTERS.get(prefix + ".B").doubles(), b, SUMS);
      return;
    }
    // Signs and rotations of the factors are free.
    int rank = combined.rank();
    Matrix left = Matrix.of((int) combined.rows(), rank, b);
    Matrix delta = left.times(Matrix.of(rank, (int) combined.cols(), a));
    Compare.close(
        prefix + ".delta", ADAPTERS.get(prefix + ".delta").doubles(), delta.floats(), SVD);
    float[] values = new float[rank];
    for (int r = 0; r < rank; r++) {
      double squares = 0;
      for (int i = 0; i < left.rows(); i++) squares += left.at(i, r) * left.at(i, r);
      values[r] = (float) Math.sqrt(squares);
    }
    Compare.close(
        prefix + ".singular_values",
        ADAPTERS.get(prefix + ".singular_values").doubles(),
        values,
        SVD);
  }

  private static CombineConfig config(GoldenCase golden, Scope scope) {
    CombineConfig config = CombineConfig.of(CombineMethod.named(golden.text("combination_type")));
    if (golden.has("density")) {
      config = config.density(golden.number("density"));
    }
    if (golden.has("svd_rank")) {
      config = config.rank(golden.integer("svd_rank"));
    }
    if (golden.has("majority_sign_method")) {
      String election = golden.text("majority_sign_method");
      config =
          config.majoritySign(SignElection.valueOf(election.toUpperCase(java.util.Locale.ROOT)));
    }
    return golden.integer("n_masks") == 0 ? config : config.masks(new Masks(golden, scope));
  }

  /** Masks in the order in which PEFT drew them: for every module all A, all B; or all deltas. */
  private record Masks(GoldenCase golden, Scope scope) implements CombineMasks {
    @Override
    public Tensor mask(String module, Part part, int index) {
      int adapters = golden.texts("adapters").size();
      int place = golden.texts("module_order").indexOf(module);
      int of = part == Part.DELTA ? place * adapters : place * 2 * adapters;
      int number = of + (part == Part.B ? adapters : 0) + index;
      return scope.tensor(ADAPTERS.get(golden.id() + ".mask" + number));
    }
  }

  private static Path directory() {
    String given = System.getProperty(GoldenFile.DIRECTORY_PROPERTY);
    return given != null
        ? Path.of(given, "merge", "adapters")
        : org.lorakernels.safetensors.CraftedFile.resource("golden/merge/adapters");
  }

  // ---- what PEFT writes about the result

  @Test
  void theConfigurationIsThatOfTheFirstWithScalingOne() {
    try (Scope scope = Scope.open();
        PeftAdapter a = PeftAdapter.load(scope.device(), directory().resolve("a"));
        PeftAdapter d = PeftAdapter.load(scope.device(), directory().resolve("d"))) {
      AdapterCombiner combiner =
          new AdapterCombiner(
              List.of(new WeightedAdapter(a, 1), new WeightedAdapter(d, 1)),
              CombineConfig.of(CombineMethod.CAT));
      Map<String, ?> members = combiner.resultConfig().json().members();
      assertEquals("10", members.get("r").toString());
      assertEquals("10", members.get("lora_alpha").toString());
      assertEquals(a.config().json().get("target_modules"), members.get("target_modules"));
      assertArrayEquals(
          a.config().json().names().toArray(), members.keySet().toArray(), "the same members");
    }
  }
}
