package org.lorakernels.training.evaluation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lorakernels.CheckpointException;

/** Rows in the shapes of the releases. */
class QuestionReaderTest {
  private static final int ALL = Integer.MAX_VALUE;

  @TempDir private Path directory;

  private Question only(QuestionFormat expected, String name, String content) throws IOException {
    Path file = Files.writeString(directory.resolve(name), content);
    assertEquals(Optional.of(expected), QuestionReader.detect(file));
    List<Question> questions = QuestionReader.read(file, null, ALL);
    assertEquals(1, questions.size());
    assertEquals(questions, QuestionReader.read(file, expected, ALL));
    return questions.get(0);
  }

  @Test
  void choices() throws IOException {
    assertEquals(
        new Question("Question: why?", " ", List.of("because", "so"), 1),
        only(
            QuestionFormat.CHOICES,
            "a.jsonl",
            "{\"choices\": [\"because\", \"so\"], \"query\": \"Question: why?\", \"gold\": 1}\n"));
  }

  @Test
  void hellaSwag() throws IOException {
    String row =
        """
        {"ind": 24, "activity_label": "Roof shingle removal", "ctx_a": "A man is sitting on a roof.",
         "ctx_b": "he", "ctx": "A man is sitting on a roof. he", "split": "val", "label": %s,
         "endings": ["is using wrap.", "is  ripping [step] level tiles off.", "holds. [title] It", "x"],
         "source_id": "activitynet~v_-JhWjGDPHMY"}
        """;
    for (String label : new String[] {"3", "\"3\""}) { // the release, the Hub
      assertEquals(
          new Question(
              "Roof shingle removal: A man is sitting on a roof. He",
              " ",
              List.of("is using wrap.", "is ripping level tiles off.", "holds.. It", "x"),
              3),
          only(
              QuestionFormat.HELLASWAG,
              "hellaswag_val.jsonl",
              row.formatted(label).replace("\n", " ")));
    }
  }

  @Test
  void arc() throws IOException {
    Question expected =
        new Question("Question: Which is it?\nAnswer:", " ", List.of("this", "that", "it"), 2);
    assertEquals(
        expected,
        only(
            QuestionFormat.ARC,
            "ARC-Easy-Test.jsonl",
            "{\"id\": \"x\", \"question\": {\"stem\": \"Which is it?\", \"choices\": ["
                + "{\"text\": \"this\", \"label\": \"A\"}, {\"text\": \"that\", \"label\": \"B\"},"
                + " {\"text\": \"it\", \"label\": \"C\"}]}, \"answerKey\": \"C\"}"));
    assertEquals(
        expected,
        only(
            QuestionFormat.ARC,
            "hub.jsonl",
            "{\"id\": \"x\", \"question\": \"Which is it?\", \"answerKey\": \"3\", \"choices\":"
                + " {\"text\": [\"this\", \"that\", \"it\"], \"label\": [\"1\", \"2\", \"3\"]}}"));
  }

  @Test
  void piqa() throws IOException {
    Question expected =
        new Question("Question: open a jar\nAnswer:", " ", List.of("twist", "shout"), 0);
    String row = "{\"goal\": \"open a jar\", \"sol1\": \"twist\", \"sol2\": \"shout\"";
    assertEquals(expected, only(QuestionFormat.PIQA, "hub.jsonl", row + ", \"label\": 0}"));
    Files.writeString(directory.resolve("valid-labels.lst"), "0\n");
    assertEquals(expected, only(QuestionFormat.PIQA, "valid.jsonl", row + "}"));
    Files.writeString(directory.resolve("valid-labels.lst"), "\n");
    failure("too few: 0", "valid.jsonl", row + "}");
  }

  @Test
  void mmlu() throws IOException {
    Question expected =
        new Question(
            "The following are multiple choice questions (with answers) about abstract algebra."
                + "\n\nFind \"it\",\nplease\nA. 0\nB. 1, or 2\nC. 3\nD. 4\nAnswer:",
            " ",
            List.of("A", "B", "C", "D"),
            1);
    assertEquals(
        expected,
        only(
            QuestionFormat.MMLU,
            "abstract_algebra_test.csv",
            "\"Find \"\"it\"\",\nplease\",0,\"1, or 2\",3,4,B\n"));
    assertEquals(
        expected,
        only(
            QuestionFormat.MMLU,
            "hub.jsonl",
            "{\"question\": \"Find \\\"it\\\",\\nplease\", \"subject\": \"abstract_algebra\","
                + " \"choices\": [\"0\", \"1, or 2\", \"3\", \"4\"], \"answer\": 1}"));
    failure("record 2 must have 6 columns", "x_test.csv", "q,0,1,2,3,A\nq,0,1\n");
    failure("must be one of [A, B, C, D]", "x_test.csv", "q,0,1,2,3,E\n");
  }

  @Test
  void blimp() throws IOException {
    assertEquals(
        new Question("", "", List.of("She is.", "She are."), 0),
        only(
            QuestionFormat.BLIMP,
            "x.jsonl",
            "{\"sentence_good\": \"She is.\", \"sentence_bad\": \"She are.\", \"UID\": \"x\"}"));
  }

  @Test
  void linesAreCountedAndLimited() throws IOException {
    String good = "{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": 0}";
    Path file = Files.writeString(directory.resolve("a.jsonl"), good + "\n\n" + good + "\n{oops");
    assertEquals(2, QuestionReader.read(file, null, 2).size());
    failure("line 4 is not JSON", "b.jsonl", good + "\n\n" + good + "\n{oops\n");
    failure("line 2 is no question", "b.jsonl", good + "\n" + good.replace(": 0", ": 2"));
    failure(
        "\"choices\" must be an array, but is string",
        "b.jsonl",
        "{\"query\": \"q\", \"choices\": \"a\", \"gold\": 0}");
    failure("line 2 is no question", "b.json", "[" + good + ",\n{\"query\": \"q\"}]");
    failure("no known shape", "b.jsonl", "{\"text\": \"x\"}");
    failure("no known shape", "b.jsonl", "");
    failure("cannot be read", "directory/none.jsonl", null);
    assertEquals(
        Optional.empty(),
        QuestionReader.detect(Files.writeString(directory.resolve("c.jsonl"), "{\"text\": \"\"}")));
  }

  private void failure(String expected, String name, String content) throws IOException {
    Path file = directory.resolve(name);
    if (content != null) {
      Files.writeString(file, content);
    }
    String message =
        assertThrows(CheckpointException.class, () -> QuestionReader.read(file, null, ALL))
            .getMessage();
    assertTrue(message.contains(expected), message);
  }

  @Test
  void benchmarks() {
    Path data = Path.of(System.getProperty("lk.home"), "../shared/data/benchmarks");
    Assumptions.assumeTrue(Files.isDirectory(data), "SKIPPED: the benchmarks are not here");
    assertEquals(
        1000,
        QuestionReader.read(data.resolve("blimp/anaphor_gender_agreement.jsonl"), null, ALL)
            .size());
    for (String name : new String[] {"arc_easy.jsonl", "piqa.jsonl"}) {
      assertEquals(Optional.of(QuestionFormat.CHOICES), QuestionReader.detect(data.resolve(name)));
      assertTrue(QuestionReader.read(data.resolve(name), null, ALL).size() > 1000);
    }
  }
}
