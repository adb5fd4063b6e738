package org.lorakernels;

import org.lorakernels.bindings.global.native_kernels;
import org.lorakernels.bindings.lk_budget;
import org.lorakernels.bindings.lk_budget_info;

/**
 * Memory for optimiser states that several optimisers share, fairly: each gets what it cannot do
 * without (states of small tensors, two pages of buffers), and of the rest a share in proportion to
 * its states; what one does not need goes to the others. Shares change when an optimiser or a
 * parameter comes or goes.
 */
public final class PageBudget extends NativeOwner {
  private final lk_budget handle;

  private PageBudget(lk_budget handle) {
    this.handle = handle;
    own("page budget", () -> native_kernels.lk_budget_close(handle));
  }

  /**
   * A budget.
   *
   * @param deviceBytes memory of the device; -1: no limit
   * @param hostBytes host memory; -1: no limit. On the CPU both are one: the sum, or the one that
   *     has a limit
   */
  public static PageBudget of(long deviceBytes, long hostBytes) {
    NativeLibrary.ensureLoaded();
    lk_budget handle = new lk_budget(null);
    NativeLibrary.check(
        "PageBudget.of", native_kernels.lk_budget_open(deviceBytes, hostBytes, handle));
    return new PageBudget(handle);
  }

  /** Bytes that there are; -1: no limit. */
  public long bytes() {
    return info().bytes();
  }

  /** Bytes that all optimisers hold now: resident pages and buffers. */
  public long usedBytes() {
    return info().used_bytes();
  }

  /** Optimisers that share it. */
  public long optimizers() {
    return info().pagers();
  }

  private lk_budget_info info() {
    acquireUse("PageBudget");
    try {
      lk_budget_info info =
          new lk_budget_info(NativeLibrary.descriptorMemory(lk_budget_info.class, 1));
      NativeLibrary.check("PageBudget", native_kernels.lk_budget_query(handle, info));
      return info;
    } finally {
      releaseUse();
    }
  }

  /** For {@link PagedAdamW}, which acquires this budget meanwhile. */
  lk_budget handle() {
    return handle;
  }

  @Override
  public String toString() {
    return "page budget";
  }
}
