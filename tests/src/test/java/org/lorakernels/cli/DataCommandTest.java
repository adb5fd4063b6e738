package org.lorakernels.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lorakernels.cli.CommandRun.lk;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.json.JsonArray;
import org.lorakernels.json.JsonObject;
import org.lorakernels.training.data.TestTokenizers;

class DataCommandTest {
  @TempDir Path directory;
  private Path chat;

  private CommandRun data(String... more) {
    String[] arguments = new String[more.length + 5];
    List<String> first =
        List.of("data", "--model", directory.toString(), "--data", chat.toString());
    for (int i = 0; i < arguments.length; i++) {
      arguments[i] = i < 5 ? first.get(i) : more[i - 5];
    }
    return lk(arguments);
  }

  @BeforeEach
  void write() throws IOException {
    TestTokenizers.copyTo(directory);
    Files.writeString(
        directory.resolve("chat_template.jinja"),
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' }}"
            + "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
    chat = directory.resolve("chat.jsonl");
    Files.writeString(
        chat,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
            + "\"hello\"}]}\n"
            + "{\"messages\":[{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"user\",\"content\":"
            + "\"c\"},{\"role\":\"assistant\",\"content\":\"hello\"}]}\n");
  }

  @Test
  void showsWhatIsMaskedInBrackets() {
    CommandRun run = data();
    assertEquals(0, run.code(), run.err());
    assertTrue(
        run.out()
            .contains(
                "[[<|bos|><|im_start|>user\na<|im_end|><|im_start|>assistant\n]]hello<|im_end|>"),
        run.out());
    assertTrue(run.out().contains("2 examples, 2 used, in 2 rows"), run.out());
    assertTrue(run.out().contains("warning: example 2: messages[1]"), run.out());
  }

  @Test
  void documentForMachines() {
    CommandRun run = data("--json", "--batch-size", "1", "--first", "1");
    JsonObject json = run.json();
    assertEquals(2, json.object("statistics").integer("examples"));
    assertEquals(4, json.object("statistics").integer("labelled_tokens"));
    JsonObject finding = (JsonObject) json.array("findings").get(0);
    assertEquals("ROLES_OUT_OF_ORDER", finding.string("code"));
    JsonObject batch = json.object("batch");
    assertEquals(batch.array("input_ids").size(), batch.array("labels").size());
    JsonArray parts = (JsonArray) batch.array("sequences").get(0);
    assertEquals(2, parts.size());
    assertEquals("hello<|im_end|>", ((JsonObject) parts.get(1)).string("text"));
    assertTrue(((JsonObject) parts.get(1)).bool("trained"));
  }

  @Test
  void packedTruncatedAndShuffled() {
    CommandRun packed = data("--packing", "--json");
    JsonObject json = packed.json();
    assertEquals(1, json.object("statistics").integer("rows"));
    assertEquals(3, json.object("batch").array("offsets").size());
    // the first example has 22 tokens, the second 30, of which the last two are trained on
    CommandRun cut = data("--max-length", "23", "--seed", "7");
    assertTrue(cut.out().contains("truncated: 1 examples"), cut.out());
    assertTrue(cut.out().contains("left out: 1 examples"), cut.out());
  }

  @Test
  void failuresAreOneLine() throws IOException {
    CommandRun outside = data("--first", "9");
    assertEquals(1, outside.code());
    assertTrue(outside.err().contains("--first must be from 0 to 1"), outside.err());
    Files.writeString(chat, "{\"messages\":[]}\n");
    CommandRun run = data();
    assertEquals(1, run.code());
    assertEquals(1, run.err().lines().count(), run.err());
    assertTrue(run.err().startsWith("lk data: ") && run.err().contains("line 1"), run.err());
  }
}
