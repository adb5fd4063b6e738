package org.lorakernels.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonReader;

/**
 * A command that was run in this process.
 *
 * @param code the exit code
 * @param out all of standard output
 * @param err all of standard error
 */
public record CommandRun(int code, String out, String err) {
  /** Runs {@code lk} with these arguments. */
  public static CommandRun lk(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int code =
        Lk.commandLine(new PrintWriter(out, true), new PrintWriter(err, true)).execute(arguments);
    return new CommandRun(code, out.toString(), err.toString());
  }

  /** Standard output, which is one document and nothing else. */
  public JsonObject json() {
    return JsonReader.parseObject(out.getBytes(StandardCharsets.UTF_8));
  }

  /** The last line of standard output. */
  public JsonObject lastLine() {
    String[] lines = out.strip().split("\n");
    return JsonReader.parseObject(lines[lines.length - 1].getBytes(StandardCharsets.UTF_8));
  }
}
