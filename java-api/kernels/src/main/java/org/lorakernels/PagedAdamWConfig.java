package org.lorakernels;

import java.nio.file.Path;

/**
 * Where a {@link PagedAdamW} keeps its states: how much in memory, and where the rest. Never
 * changes a result. Immutable.
 */
public final class PagedAdamWConfig {
  private final long deviceBudget;
  private final long hostBudget;
  private final PageBudget sharedBudget;
  private final Path spillDirectory;
  private final long pageBytes;
  private final int ringPages;

  private PagedAdamWConfig(
      long deviceBudget,
      long hostBudget,
      PageBudget sharedBudget,
      Path spillDirectory,
      long pageBytes,
      int ringPages) {
    this.deviceBudget = deviceBudget;
    this.hostBudget = hostBudget;
    this.sharedBudget = sharedBudget;
    this.spillDirectory = spillDirectory;
    this.pageBytes = pageBytes;
    this.ringPages = ringPages;
  }

  /** All states in memory: no limit, no file. */
  public static PagedAdamWConfig resident() {
    return new PagedAdamWConfig(-1, -1, null, null, 0, 0);
  }

  /** The same with so many bytes of device memory for states; on the CPU as {@link #hostBudget}. */
  public PagedAdamWConfig deviceBudget(long bytes) {
    return new PagedAdamWConfig(
        requireBudget("deviceBudget", bytes),
        hostBudget,
        sharedBudget,
        spillDirectory,
        pageBytes,
        ringPages);
  }

  /**
   * The same with so many bytes of host memory for states. On the CPU this and {@link
   * #deviceBudget} are one budget: their sum.
   */
  public PagedAdamWConfig hostBudget(long bytes) {
    return new PagedAdamWConfig(
        deviceBudget,
        requireBudget("hostBudget", bytes),
        sharedBudget,
        spillDirectory,
        pageBytes,
        ringPages);
  }

  /**
   * The same with a budget that other optimisers share, in place of {@link #deviceBudget} and
   * {@link #hostBudget}.
   */
  public PagedAdamWConfig sharedBudget(PageBudget budget) {
    return new PagedAdamWConfig(
        deviceBudget, hostBudget, budget, spillDirectory, pageBytes, ringPages);
  }

  /**
   * The same with a directory for what exceeds the budget. The scratch file there has no name: it
   * takes twice the states that are not in memory, and their parameters once, and is gone when the
   * optimiser is closed or the process ends.
   */
  public PagedAdamWConfig spillDirectory(Path directory) {
    return new PagedAdamWConfig(
        deviceBudget, hostBudget, sharedBudget, directory, pageBytes, ringPages);
  }

  /** The same with another size of pages: a multiple of 4096 bytes; 0: the default, 2 MiB. */
  public PagedAdamWConfig pageBytes(long bytes) {
    if (bytes < 0 || bytes % 4096 != 0) {
      throw new InvalidArgumentException(
          "PagedAdamWConfig: pageBytes must be a multiple of 4096, or 0 for the default, but is "
              + bytes);
    }
    return new PagedAdamWConfig(
        deviceBudget, hostBudget, sharedBudget, spillDirectory, bytes, ringPages);
  }

  /**
   * The same with another number of pages that are read ahead and written behind, as far as the
   * budget has room for them; 1: neither; 0: the default, 8.
   */
  public PagedAdamWConfig ringPages(int pages) {
    if (pages < 0) {
      throw new InvalidArgumentException(
          "PagedAdamWConfig: ringPages must be at least 0, but is " + pages);
    }
    return new PagedAdamWConfig(
        deviceBudget, hostBudget, sharedBudget, spillDirectory, pageBytes, pages);
  }

  private static long requireBudget(String name, long bytes) {
    if (bytes < 0) {
      throw new InvalidArgumentException(
          "PagedAdamWConfig: " + name + " must be at least 0, but is " + bytes);
    }
    return bytes;
  }

  /** Bytes of device memory; -1: no limit. */
  public long deviceBudget() {
    return deviceBudget;
  }

  /** Bytes of host memory; -1: no limit. */
  public long hostBudget() {
    return hostBudget;
  }

  /** What is shared with others; null: nothing. */
  public PageBudget sharedBudget() {
    return sharedBudget;
  }

  /** Where the rest goes; null: nowhere. */
  public Path spillDirectory() {
    return spillDirectory;
  }

  /** Bytes of a page; 0: the default. */
  public long pageBytes() {
    return pageBytes;
  }

  /** Pages in flight; 0: the default. */
  public int ringPages() {
    return ringPages;
  }
}
