package org.lorakernels;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * How long native memory lives: a count of users, of which the open owner is one. An operation is a
 * user while it runs, so closing a tensor in one thread while another computes with it only defers
 * the release; a view is a user of the memory that it shares; memory is a user of its device. The
 * last user to leave releases.
 */
final class Lifetime implements Runnable {
  private final AtomicInteger users = new AtomicInteger(1);
  private final AtomicBoolean closed = new AtomicBoolean();
  private final Runnable release;
  private final String what;
  private final Throwable allocatedAt = LeakReports.placeOfAllocation();

  /**
   * @param what names the owner in a leak report; null: not worth a report
   * @param release runs once, after the last user; must not refer to the owner
   */
  Lifetime(String what, Runnable release) {
    this.what = what;
    this.release = release;
  }

  /** Becomes a user; false after {@link #close}. Every success is paired with {@link #release}. */
  boolean acquire() {
    if (closed.get()) {
      return false;
    }
    for (int count = users.get(); count > 0; count = users.get()) {
      if (users.compareAndSet(count, count + 1)) {
        return true;
      }
    }
    return false;
  }

  void release() {
    if (users.decrementAndGet() == 0) {
      release.run();
    }
  }

  boolean isClosed() {
    return closed.get();
  }

  /** The owner leaves; idempotent. */
  void close() {
    if (closed.compareAndSet(false, true)) {
      release();
    }
  }

  /** The cleaner found the owner unreachable. */
  @Override
  public void run() {
    if (!closed.get() && what != null) {
      LeakReports.report(what, allocatedAt);
    }
    close();
  }
}
