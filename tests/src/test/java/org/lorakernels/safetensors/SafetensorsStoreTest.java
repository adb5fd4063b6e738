package org.lorakernels.safetensors;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.oracle.Failures.fails;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lorakernels.CheckpointException;
import org.lorakernels.Device;
import org.lorakernels.Tensor;

/** Single files and shards behind one face. */
class SafetensorsStoreTest {
  @TempDir Path directory;

  private void shard(String file, String tensor) throws IOException {
    CraftedFile.write(
        directory.resolve(file),
        "{\"" + tensor + "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
        2);
  }

  private void index(String weightMap) throws IOException {
    Files.writeString(
        directory.resolve(SafetensorsStore.INDEX),
        "{\"metadata\":{\"total_size\":4},\"weight_map\":" + weightMap + "}");
  }

  private CheckpointException refused(String... parts) {
    return fails(CheckpointException.class, () -> SafetensorsStore.open(directory).close(), parts);
  }

  @Test
  void opensASingleFileByDirectoryOrName() {
    Path llama = CraftedFile.resource("golden/models/llama");
    for (Path path : List.of(llama, llama.resolve("model.safetensors"))) {
      try (SafetensorsStore store = SafetensorsStore.open(path)) {
        assertEquals(21, store.names().size());
        assertEquals(427_264, store.byteSize());
      }
    }
  }

  @Test
  void opensShards() throws IOException {
    shard("one.safetensors", "a");
    shard("two.safetensors", "b");
    index("{\"b\":\"two.safetensors\",\"a\":\"one.safetensors\"}");
    try (SafetensorsStore store = SafetensorsStore.open(directory);
        Device device = Device.cpu();
        Tensor b = store.tensor(device, "b")) {
      assertEquals(List.of("b", "a"), store.names());
      assertEquals(2, store.files().size());
      assertEquals(4, store.byteSize());
      assertEquals("U8 [2]", b.toString());
      assertEquals(1, store.read("a", 1, 1).get());
      fails(CheckpointException.class, () -> store.info("c"), "no tensor \"c\" among its 2");
    }
  }

  @Test
  void namesEveryMissingShard() throws IOException {
    shard("one.safetensors", "a");
    index("{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":\"three.safetensors\"}");
    refused("2 of 3 shards are missing: three.safetensors, two.safetensors");
  }

  @Test
  void namesATensorThatItsShardLacks() throws IOException {
    shard("one.safetensors", "a");
    index("{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}");
    refused("\"b\" must be in one.safetensors, but is not");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../one.safetensors",
        "/etc/passwd",
        "sub/one.safetensors",
        "..",
        ".",
        "",
        "a\\\\b",
        "one\\u0000"
      })
  void refusesShardsElsewhere(String shard) throws IOException {
    index("{\"a\":\"" + shard + "\"}");
    refused("name of a file in the same directory");
  }

  @ParameterizedTest
  @ValueSource(strings = {"[]", "{\"a\":1}", "null", "{"})
  void refusesAnIndexThatIsNone(String weightMap) throws IOException {
    index(weightMap);
    CheckpointException e = refused();
    assertEquals(directory.resolve(SafetensorsStore.INDEX), e.path());
  }

  @Test
  void saysWhatToDoWithPickledCheckpoints() throws IOException {
    CheckpointException nothing = refused();
    assertTrue(
        nothing
            .getMessage()
            .endsWith(
                "expected model.safetensors or model.safetensors.index.json, but there is neither"),
        nothing.getMessage());
    Files.createFile(directory.resolve("pytorch_model.bin"));
    refused("save_pretrained");
  }
}
