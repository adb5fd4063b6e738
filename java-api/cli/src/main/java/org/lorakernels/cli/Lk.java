package org.lorakernels.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import org.lorakernels.LoraKernels;
import org.lorakernels.LoraKernelsException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;

/** The root of the command line; see {@code lk --help}. */
@Command(
    name = "lk",
    description = "NF4, LoRA and AdamW kernels: quantise, adapt and measure on this machine.",
    mixinStandardHelpOptions = true,
    versionProvider = Lk.Version.class,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      InfoCommand.class,
      QuickstartCommand.class,
      TrainCommand.class,
      MemoryCommand.class,
      InitCommand.class,
      DataCommand.class,
      EvalCommand.class,
      GenerateCommand.class,
      QuantizeCommand.class,
      MergeCommand.class,
      BenchCommand.class
    })
public final class Lk {
  /** Exit code of a command that failed. */
  static final int FAILED = 1;

  /** Exit code of bad usage. */
  static final int BAD_USAGE = 2;

  Lk() {}

  /** Prints the version of the native library. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      try {
        return new String[] {"lk " + LoraKernels.version()};
      } catch (LoraKernelsException failure) {
        return new String[] {"lk: " + failure.getMessage()};
      }
    }
  }

  /** A command line that prints to given streams. */
  public static CommandLine commandLine(PrintWriter out, PrintWriter err) {
    CommandLine commandLine = new CommandLine(new Lk());
    commandLine.setOut(out).setErr(err);
    commandLine.setExitCodeExceptionMapper(failure -> FAILED);
    commandLine.setParameterExceptionHandler(
        (failure, arguments) -> {
          CommandLine command = failure.getCommandLine();
          command
              .getErr()
              .println(
                  command.getCommandSpec().qualifiedName()
                      + ": "
                      + failure.getMessage()
                      + "; see "
                      + command.getCommandSpec().qualifiedName()
                      + " --help");
          return BAD_USAGE;
        });
    return commandLine;
  }

  /** Runs a command and exits with 0 (done), 1 (failed) or 2 (bad usage). */
  public static void main(String[] arguments) {
    PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
    PrintWriter err = new PrintWriter(System.err, true, StandardCharsets.UTF_8);
    CommandLine commandLine = commandLine(out, err);
    int code;
    if (arguments.length == 0) {
      commandLine.usage(err);
      code = BAD_USAGE;
    } else {
      code = commandLine.execute(arguments);
    }
    out.flush();
    err.flush();
    System.exit(code);
  }
}
