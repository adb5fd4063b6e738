package org.lorakernels.cli;

import java.io.UncheckedIOException;
import java.util.List;
import java.util.concurrent.Callable;
import org.lorakernels.LoraKernelsException;
import org.lorakernels.json.JsonObject;
import org.lorakernels.json.JsonStyle;
import picocli.CommandLine.Model.ArgGroupSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ParseResult.GroupMatch;
import picocli.CommandLine.Spec;

/** What all commands share: output for people or machines, and failures in one line. */
abstract class LkCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--json", description = "Print one JSON document instead of text.")
  private boolean json;

  @Option(names = "--stack-trace", description = "Print the stack trace of a failure.")
  private boolean stackTrace;

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help.")
  private boolean help;

  /**
   * Does the work.
   *
   * @param console prints for people; silent for machines
   * @return the result for machines
   * @throws LoraKernelsException where it fails; the message becomes the one line of the error
   */
  abstract JsonObject run(Console console);

  /** To be thrown where options do not go together; the command ends with 2. */
  final ParameterException badUsage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  @Override
  public final Integer call() {
    refuseRepeatedOptions();
    Console console = new Console(spec.commandLine().getOut(), spec.commandLine().getErr(), json);
    try {
      JsonObject result = run(console);
      if (json) {
        console.document(JsonStyle.PYTHON.write(result));
      }
      return 0;
    } catch (LoraKernelsException | UncheckedIOException failure) {
      String message = failure.getMessage().replace('\n', ' ');
      spec.commandLine().getErr().println(spec.qualifiedName() + ": " + message);
      if (stackTrace) {
        failure.printStackTrace(spec.commandLine().getErr());
      }
      return Lk.FAILED;
    }
  }

  /**
   * Of options in a group, picocli takes one given twice for the beginning of a second group, and
   * would forget those before it.
   */
  private void refuseRepeatedOptions() {
    ParseResult parsed = spec.commandLine().getParseResult();
    for (ArgGroupSpec group : spec.argGroups()) {
      List<GroupMatch> matches =
          parsed.findMatches(group).stream().flatMap(found -> found.matches().stream()).toList();
      for (OptionSpec option : group.options()) {
        long given =
            matches.stream().filter(match -> !match.matchedValues(option).isEmpty()).count();
        if (given > 1) {
          throw badUsage("option '" + option.longestName() + "' is given more than once");
        }
      }
    }
  }
}
