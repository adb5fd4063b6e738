package org.lorakernels.safetensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Makes safetensors files by hand, honest or lying; shares nothing with the writer under test. */
public final class CraftedFile {
  private CraftedFile() {}

  /** The header's length, the header, {@code dataBytes} bytes 0, 1, 2, ... */
  public static byte[] bytes(String header, int dataBytes) {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer file =
        ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(json.length).put(json);
    for (int i = 0; i < dataBytes; i++) {
      file.put((byte) i);
    }
    return file.array();
  }

  /** Writes such a file. */
  public static Path write(Path path, String header, int dataBytes) throws IOException {
    return Files.write(path, bytes(header, dataBytes));
  }

  /** A file of the test resources, for example {@code golden/models/llama}. */
  public static Path resource(String path) {
    try {
      return Path.of(CraftedFile.class.getResource("/" + path).toURI());
    } catch (java.net.URISyntaxException e) {
      throw new IllegalArgumentException(path, e);
    }
  }
}
