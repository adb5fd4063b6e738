package org.lorakernels.peft;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.CheckpointException;
import org.lorakernels.DType;
import org.lorakernels.Device;
import org.lorakernels.InvalidArgumentException;
import org.lorakernels.LoraConfig;
import org.lorakernels.Tensor;
import org.lorakernels.safetensors.CraftedFile;

/** DoRA's magnitudes in PEFT's files, and how target modules are said. */
class DoraFilesTest {
  private static final Path DORA = CraftedFile.resource("golden/extra/llama3/adapter");

  private final Device device = Device.cpu();

  @AfterEach
  void closeDevice() {
    assertEquals(0, device.memory().allocatedBytes(), "everything was closed");
    device.close();
  }

  @Test
  void savesWhatItLoaded(@TempDir Path target) throws Exception {
    try (PeftAdapter adapter = PeftAdapter.loadWithMagnitudes(device, DORA)) {
      assertTrue(adapter.config().dora());
      assertEquals(adapter.modules().keySet(), adapter.magnitudes().keySet());
      Tensor magnitude = adapter.magnitudes().get("model.layers.0.mlp.up_proj");
      assertEquals(DType.F32, magnitude.dtype());
      assertArrayEquals(new long[] {40}, magnitude.shape());
      adapter.save(target);
    }
    for (String file : List.of(PeftAdapter.FILE, PeftConfig.FILE)) {
      assertArrayEquals(
          Files.readAllBytes(DORA.resolve(file)), Files.readAllBytes(target.resolve(file)), file);
    }
  }

  @Test
  void isRefusedWhereMagnitudesWouldBeLost(@TempDir Path target) {
    CheckpointException refused =
        assertThrows(CheckpointException.class, () -> PeftAdapter.load(device, DORA));
    assertTrue(refused.getMessage().contains("\"use_dora\": only false or null"));
    try (PeftAdapter adapter = PeftAdapter.loadWithMagnitudes(device, DORA)) {
      InvalidArgumentException incomplete =
          assertThrows(
              InvalidArgumentException.class,
              () -> PeftAdapter.save(target, adapter.config(), adapter.modules()));
      assertTrue(incomplete.getMessage().contains("magnitudes of every module"));
    }
  }

  @Test
  void namesTargetsByLastPartsLayersOrInFull() {
    List<String> linears =
        List.of("m.layers.0.a.q", "m.layers.0.b.up", "m.layers.1.a.q", "m.layers.1.b.up", "head");
    assertTargets(linears, Set.of("m.layers.0.a.q", "m.layers.1.a.q"), "[\"q\"]", "null");
    assertTargets(linears, Set.of("m.layers.1.a.q", "m.layers.1.b.up"), "[\"q\", \"up\"]", "[1]");
    assertTargets(
        linears,
        Set.of("m.layers.0.a.q", "m.layers.1.b.up"),
        "[\"m.layers.0.a.q\", \"m.layers.1.b.up\"]",
        "null");
  }

  private static void assertTargets(
      List<String> linears, Set<String> adapted, String names, String layers) {
    Map<String, LoraConfig> loras = new TreeMap<>();
    adapted.forEach(module -> loras.put(module, LoraConfig.rank(2)));
    PeftConfig config = PeftConfig.describing(loras, linears);
    assertEquals(names, config.json().get("target_modules").toString());
    assertEquals(layers, config.json().get("layers_to_transform").toString());
    linears.forEach(
        module -> assertEquals(adapted.contains(module), config.targets(module), module));
  }
}
