package org.lorakernels;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/** One step of a {@link PagedAdamW} in a flight recording: what it moved and waited for. */
@Name("org.lorakernels.PagedStep")
@Label("Paged optimiser step")
@Category("LoraKernels")
@Description("One step of PagedAdamW")
@StackTrace(false)
final class PagedStepEvent extends Event {
  @Label("Step")
  long step;

  @Label("Skipped")
  boolean skipped;

  @Label("States in memory")
  @DataAmount
  long residentBytes;

  @Label("States in the file")
  @DataAmount
  long fileBytes;

  @Label("Read from the file")
  @DataAmount
  long readBytes;

  @Label("Written to the file")
  @DataAmount
  long writtenBytes;

  @Label("Written to the undo log")
  @DataAmount
  long undoBytes;

  @Label("Pages that were there in time")
  long prefetchHits;

  @Label("Pages that were waited for")
  long stalls;

  @Label("Time waited")
  @Timespan
  long stallTime;

  @Label("Time in kernels")
  @Timespan
  long updateTime;

  @Label("Time of copies, summed over threads")
  @Timespan
  long copyTime;

  /** What happened between two readings of the metrics. */
  void fill(PagerMetrics before, PagerMetrics after) {
    residentBytes = after.residentBytes();
    fileBytes = after.fileBytes();
    readBytes = after.readBytes() - before.readBytes();
    writtenBytes = after.writtenBytes() - before.writtenBytes();
    undoBytes = after.undoBytes() - before.undoBytes();
    prefetchHits = after.prefetchHits() - before.prefetchHits();
    stalls = after.stalls() - before.stalls();
    stallTime = after.stallNanos() - before.stallNanos();
    updateTime = after.updateNanos() - before.updateNanos();
    copyTime = after.copyNanos() - before.copyNanos();
  }
}
