package org.lorakernels.training.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.CheckpointException;

class ExampleReaderTest {
  @TempDir Path directory;

  private List<Example> read(String content) throws IOException {
    return read(content, null);
  }

  private List<Example> read(String content, DataShape shape) throws IOException {
    Path file = directory.resolve("data");
    Files.writeString(file, content);
    return ExampleReader.readAll(file, shape);
  }

  private String failure(String content, DataShape shape) {
    return assertThrows(CheckpointException.class, () -> read(content, shape)).getMessage();
  }

  @Test
  void linesAndArraysAlike() throws IOException {
    List<Example> expected = List.of(new Example.Text("a"), new Example.Text("b\n"));
    assertEquals(expected, read("{\"text\": \"a\"}\n\n  {\"text\": \"b\\n\"}"));
    assertEquals(expected, read("\uFEFF {\"text\":\"a\"}\r\n{\"text\":\"b\\n\"}\r\n"));
    assertEquals(expected, read(" \n[{\"text\":\"a\"},\n {\"text\":\n\"b\\n\", \"more\": 1}]\n"));
  }

  @Test
  void promptsAndCompletions() throws IOException {
    assertEquals(
        List.of(new Example.Completion("p", "c")), read("{\"prompt\":\"p\",\"completion\":\"c\"}"));
    Example.Conversation chat =
        (Example.Conversation)
            read("{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
                    + "\"content\":\"b\"}],\"completion\":[{\"role\":\"assistant\","
                    + "\"content\":\"c\"}]}")
                .get(0);
    assertEquals(
        List.of(0.0, 0.0, 1.0), chat.messages().stream().map(Message::effectiveWeight).toList());
  }

  @Test
  void alpaca() throws IOException {
    List<Example> examples =
        read(
            "[{\"instruction\":\"i\",\"input\":\"\",\"output\":\"o\"},"
                + "{\"instruction\":\"i\",\"input\":\"x\",\"output\":\"o\",\"system\":\"s\"}]");
    assertEquals(
        new Example.Completion(
            "Below is an instruction that describes a task. Write a response that appropriately"
                + " completes the request.\n\n### Instruction:\ni\n\n### Response:\n",
            "o"),
        ((Example.Instruction) examples.get(0)).completion());
    Example.Instruction second = (Example.Instruction) examples.get(1);
    assertTrue(
        second.completion().prompt().endsWith("\n\n### Input:\nx\n\n### Response:\n"),
        second.completion().prompt());
    assertEquals(
        List.of(
            Message.of("system", "s"), Message.of("user", "i\n\nx"), Message.of("assistant", "o")),
        second.conversation().messages());
  }

  @Test
  void messagesWithWeightsPartsAndTools() throws IOException {
    Example.Conversation chat =
        (Example.Conversation)
            read("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"value\":"
                    + "\"a\"},{\"type\":\"text\",\"text\":\"b\"}],\"loss_weight\":0.5},"
                    + "{\"role\":\"assistant\",\"content\":null,\"weight\":0,\"tool_calls\":"
                    + "[{\"id\":\"x\"}]}],\"tools\":[{\"name\":\"f\"}]}")
                .get(0);
    assertEquals("ab", chat.messages().get(0).fields().get("content"));
    assertEquals(0.5, chat.messages().get(0).lossWeight());
    assertNull(chat.messages().get(1).fields().get("content"));
    assertEquals(0.0, chat.messages().get(1).effectiveWeight());
    assertEquals(List.of(Map.of("id", "x")), chat.messages().get(1).fields().get("tool_calls"));
    assertEquals(
        List.of(Map.of("type", "function", "function", Map.of("name", "f"))), chat.tools());
  }

  @Test
  void shareGpt() throws IOException {
    Example.Conversation chat =
        (Example.Conversation)
            read("{\"conversations\":[{\"from\":\"human\",\"value\":\"h\"},{\"from\":"
                    + "\"function_call\",\"value\":\"{\\\"name\\\": \\\"f\\\", \\\"arguments\\\":"
                    + " {\\\"a\\\": 1}}\"},{\"from\":\"observation\",\"value\":\"r\"},"
                    + "{\"from\":\"gpt\",\"value\":\"g\"}],\"system\":\"s\",\"tools\":"
                    + "\"[{\\\"name\\\": \\\"f\\\"}]\"}")
                .get(0);
    assertEquals(
        List.of("system", "user", "assistant", "tool", "assistant"),
        chat.messages().stream().map(Message::role).toList());
    assertEquals(
        List.of(
            Map.of(
                "type", "function", "function", Map.of("name", "f", "arguments", Map.of("a", 1)))),
        chat.messages().get(2).fields().get("tool_calls"));
    assertEquals(1, chat.tools().size());
  }

  @Test
  void tokens() throws IOException {
    Example.Tokens masked =
        (Example.Tokens)
            read("{\"input_ids\":[1,2,3,0],\"labels\":[-100,2,3,-100],"
                    + "\"attention_mask\":[1,1,1,0]}")
                .get(0);
    assertArrayEquals(new int[] {1, 2, 3}, masked.inputIds());
    assertArrayEquals(new int[] {-100, 2, 3}, masked.labels());
    assertNull(((Example.Tokens) read("{\"input_ids\":[1]}").get(0)).labels());
  }

  @Test
  void faultsNameTheLine() {
    assertTrue(failure("", null).contains("the file is empty"));
    assertTrue(failure(" \n \n", null).contains("the file is empty"));
    assertTrue(failure("[]", null).contains("the list is empty"));
    assertTrue(failure("{\"text\":\"a\"}\n{\"text\":\n", null).contains("line 2: is not JSON"));
    assertTrue(failure("{\"text\":\"a\"} x\n", null).contains("line 1: is not JSON"));
    assertTrue(failure("{\"text\":\"a\"}\n7\n", null).contains("line 2: expected a JSON object"));
    assertTrue(failure("[{\"text\":\"a\"},", null).contains("element"));
    assertTrue(failure("[{\"text\":\"a\"}] 5", null).contains("follows the list"));
    String mixed = failure("{\"text\":\"a\"}\n{\"prompt\":\"a\"}", null);
    assertTrue(mixed.contains("line 2") && mixed.contains("[text]"), mixed);
    String unknown = failure("{\"question\":\"a\"}", null);
    assertTrue(unknown.contains("prompt+completion") && unknown.contains("[question]"), unknown);
    assertTrue(failure("{\"text\":5}", null).contains("\"text\": expected a string, but is 5"));
    assertTrue(failure("{\"text\":\"a\"}", DataShape.MESSAGES).contains("[messages]"));
    assertTrue(failure("{\"messages\":[]}", null).contains("at least one"));
    assertTrue(
        failure("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}]}", null)
            .contains("not supported"));
    assertTrue(failure("{\"messages\":[{\"content\":\"a\"}]}", null).contains("messages[0].role"));
    assertTrue(
        failure("{\"input_ids\":[1,2],\"labels\":[1]}", null).contains("as many as input_ids"));
    assertTrue(failure("{\"input_ids\":[1.5]}", null).contains("input_ids[0]"));
    assertTrue(failure("{\"input_ids\":[99999999999]}", null).contains("input_ids[0]"));
    assertTrue(
        failure("{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"loss_weight\":-1}]}", null)
            .contains("loss_weight"));
  }

  @Test
  void saysThatAFileIsNotText() throws IOException {
    Path file = directory.resolve("data");
    Files.write(file, "{\"text\":\"é\"}".getBytes(StandardCharsets.ISO_8859_1));
    String message =
        assertThrows(CheckpointException.class, () -> ExampleReader.readAll(file, null))
            .getMessage();
    assertTrue(message.contains("UTF-8"), message);
    Path missing = directory.resolve("missing");
    assertTrue(
        assertThrows(CheckpointException.class, () -> ExampleReader.open(missing, null))
            .getMessage()
            .contains("no such file"));
    assertThrows(CheckpointException.class, () -> ExampleReader.open(directory, null));
  }

  @Test
  void shapesThatPeopleHave() {
    Path data = Path.of(System.getProperty("lk.home"), "../shared/data");
    Assumptions.assumeTrue(Files.isDirectory(data), "SKIPPED: the data sets are not here");
    assertInstanceOf(Example.Text.class, all(data, "tinystories/train.jsonl", 724));
    assertInstanceOf(Example.Instruction.class, all(data, "instruct/instruction-data.json", 1100));
    assertInstanceOf(Example.Conversation.class, all(data, "instruct/v1_sft_demo.jsonl", 500));
    assertInstanceOf(
        Example.Conversation.class, all(data, "json-toolcall/glaive_toolcall_en_demo.json", 300));
  }

  private static Example all(Path data, String name, int expected) {
    List<Example> examples = ExampleReader.readAll(data.resolve(name), null);
    assertEquals(expected, examples.size(), name);
    return examples.get(0);
  }
}
