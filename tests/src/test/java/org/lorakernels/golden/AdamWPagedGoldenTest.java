package org.lorakernels.golden;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lorakernels.AdamWConfig;
import org.lorakernels.PagedAdamW;
import org.lorakernels.PagedAdamWConfig;
import org.lorakernels.Parameter;
import org.lorakernels.StateType;
import org.lorakernels.Tensor;
import org.lorakernels.oracle.Scope;

/**
 * The ten steps of the golden files with pages of 4 KiB that all move in every step: bit for bit
 * what resident states give, which other tests compare with the golden values.
 */
class AdamWPagedGoldenTest {
  @TempDir Path directory;

  @ParameterizedTest
  @CsvSource({
    "optim/adamw_f32.safetensors, F32, 4096",
    "optim/adamw8bit.safetensors, F32, 4096",
    "optim/adamw8bit.safetensors, BF16, 4096",
    // the parameters of a page take more than its states
    "optim/adamw8bit.safetensors, EIGHT_BIT, 8192"
  })
  void pagesThatMoveChangeNothing(String name, StateType states, long budget) {
    GoldenFile file = GoldenFile.open(name);
    AdamWConfig config = AdamWConfig.defaults().stateType(states);
    PagedAdamWConfig oneBuffer =
        PagedAdamWConfig.resident()
            .hostBudget(budget)
            .spillDirectory(directory)
            .pageBytes(4096)
            .ringPages(1);
    try (Scope scope = Scope.cpu()) {
      Tensor gradient = scope.tensor(file.get("grads").row(0));
      Tensor resident = scope.tensor(file.get("p0"));
      Tensor paged = scope.tensor(file.get("p0"));
      PagedAdamW a =
          scope.own(PagedAdamW.over(List.of(new Parameter("p", resident, gradient)), config));
      PagedAdamW b =
          scope.own(
              PagedAdamW.over(List.of(new Parameter("p", paged, gradient)), config, oneBuffer));
      for (int step = 0; step < file.get("grads").shape()[0]; step++) {
        gradient.copyFrom(file.get("grads").row(step).buffer());
        a.step();
        b.step();
        assertArrayEquals(resident.toFloatArray(), paged.toFloatArray(), "step " + step);
      }
      assertEquals(0, b.metrics().residentBytes());
      assertEquals(10 * b.metrics().fileBytes(), b.metrics().writtenBytes());
    }
  }
}
