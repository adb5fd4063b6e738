package org.lorakernels;

import java.util.Objects;
import java.util.function.Consumer;

/**
 * Reports of owners (tensors, adapters, optimisers, devices) that were garbage collected without
 * being closed. Their memory is freed all the same, but late. With {@code
 * -Dorg.lorakernels.leakDetection=true} a report carries the place of allocation.
 */
public final class LeakReports {
  /** Name of the system property that makes every owner remember where it was made. */
  public static final String PROPERTY = "org.lorakernels.leakDetection";

  private static final Consumer<Leak> LOG =
      leak ->
          System.getLogger("org.lorakernels")
              .log(System.Logger.Level.WARNING, leak.toString(), leak.allocatedAt());

  private static volatile Consumer<Leak> listener = LOG;

  private LeakReports() {}

  /**
   * One leak.
   *
   * @param what the owner, as {@code toString} gave it when it was made
   * @param allocatedAt where it was made; null unless {@link #PROPERTY} is set
   */
  public record Leak(String what, Throwable allocatedAt) {
    @Override
    public String toString() {
      return what
          + " was never closed: close it, or use try-with-resources"
          + (allocatedAt == null ? "; -D" + PROPERTY + "=true shows where it was made" : "");
    }
  }

  /**
   * Sends reports to a listener, which is called on the thread that cleans up.
   *
   * @param newListener the listener; null for the default, the logger {@code org.lorakernels} at
   *     level WARNING
   */
  public static void listener(Consumer<Leak> newListener) {
    listener = newListener == null ? LOG : newListener;
  }

  static Throwable placeOfAllocation() {
    return Boolean.getBoolean(PROPERTY) ? new Throwable("allocated here") : null;
  }

  static void report(String what, Throwable allocatedAt) {
    listener.accept(new Leak(Objects.requireNonNull(what), allocatedAt));
  }
}
