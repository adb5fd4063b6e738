package org.lorakernels.cli;

import java.io.PrintWriter;
import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * Where a command prints: text for people on standard output, or nothing but one JSON document;
 * progress on standard error, as a bar on a terminal and as plain lines otherwise.
 */
final class Console {
  private final PrintWriter out;
  private final PrintWriter err;
  private final boolean machine;

  Console(PrintWriter out, PrintWriter err, boolean machine) {
    this.out = out;
    this.err = err;
    this.machine = machine;
  }

  /** A line for people. */
  void print(String format, Object... arguments) {
    if (!machine) {
      out.println(String.format(Locale.ROOT, format, arguments));
    }
  }

  /** A line for people about something that they should know, on standard error. */
  void warn(String message) {
    err.println(message);
  }

  /** A piece of text for people, as it is, at once. */
  void stream(String text) {
    if (!machine) {
      out.print(text);
      out.flush();
    }
  }

  /** A line for people that is no part of the result: on standard error. */
  void note(String format, Object... arguments) {
    if (!machine) {
      err.println(String.format(Locale.ROOT, format, arguments));
    }
  }

  /** A table for people. */
  void print(Table table) {
    if (!machine) {
      out.print(table);
      out.flush();
    }
  }

  /** The document for machines. */
  void document(String text) {
    out.println(text);
  }

  /** Whether people look at a terminal; from Java 22 on there is a console even without one. */
  static boolean isTerminal() {
    if (System.console() == null) {
      return false;
    }
    try {
      return (boolean) java.io.Console.class.getMethod("isTerminal").invoke(System.console());
    } catch (ReflectiveOperationException e) {
      return true; // before Java 22 there is a console only on a terminal
    }
  }

  /** Progress of something that takes a while. */
  Progress progress(String task, long total) {
    return isTerminal() ? new Bar(task, total) : new Lines(task, total);
  }

  /** How far something has come. */
  interface Progress extends AutoCloseable {
    /** So much is done. */
    void to(long done);

    /** What to say beside it from now on. */
    void note(String text);

    @Override
    void close();
  }

  /** On a terminal. */
  private static final class Bar implements Progress {
    private final ProgressBar bar;

    Bar(String task, long total) {
      bar =
          new ProgressBarBuilder()
              .setTaskName(task)
              .setInitialMax(total)
              .setStyle(ProgressBarStyle.ASCII)
              .setUpdateIntervalMillis(100)
              .build();
    }

    @Override
    public void to(long done) {
      bar.stepTo(done);
    }

    @Override
    public void note(String text) {
      bar.setExtraMessage(text);
    }

    @Override
    public void close() {
      bar.close();
    }
  }

  /** In a log: a line at every quarter. */
  private final class Lines implements Progress {
    private final String task;
    private final long total;
    private long quarters;
    private String note = "";

    Lines(String task, long total) {
      this.task = task;
      this.total = total;
    }

    @Override
    public void to(long done) {
      long reached = total == 0 ? 4 : done * 4 / total;
      if (reached > quarters) {
        quarters = reached;
        err.println(task + ": " + reached * 25 + " %" + note);
      }
    }

    @Override
    public void note(String text) {
      note = ", " + text;
    }

    @Override
    public void close() {}
  }
}
