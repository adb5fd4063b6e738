package org.lorakernels;

import java.nio.file.Path;
import java.util.List;
import org.lorakernels.bindings.global.native_kernels;
import org.lorakernels.bindings.lk_adamw_config;
import org.lorakernels.bindings.lk_adamw_param;
import org.lorakernels.bindings.lk_adamw_report;
import org.lorakernels.bindings.lk_budget;
import org.lorakernels.bindings.lk_pager;
import org.lorakernels.bindings.lk_pager_stats;
import org.lorakernels.bindings.lk_pager_tensor;

/** The native pager of one optimiser, and its device, which it keeps open. Closed once. */
final class StatePager implements Runnable {
  /** Of the parts of states, by {@code lk_state_part}: torch's and bitsandbytes' names. */
  static final List<String> PARTS =
      List.of("exp_avg", "exp_avg_sq", "absmax1", "absmax2", "master");

  private final Device device;
  private final lk_pager handle;

  private StatePager(Device device, lk_pager handle) {
    this.device = device;
    this.handle = handle;
  }

  static StatePager open(String operation, Device device, PagedAdamWConfig config) {
    PageBudget shared = config.sharedBudget();
    NativeOwner.acquireAll(operation, device, shared, null, null, null);
    boolean opened = false;
    lk_budget own = null;
    try {
      if (shared == null && (config.deviceBudget() >= 0 || config.hostBudget() >= 0)) {
        own = new lk_budget(null);
        NativeLibrary.check(
            operation,
            native_kernels.lk_budget_open(config.deviceBudget(), config.hostBudget(), own));
      }
      Path directory = config.spillDirectory();
      lk_pager handle = new lk_pager(null);
      NativeLibrary.check(
          operation,
          native_kernels.lk_pager_open(
              device.handle(),
              shared != null ? shared.handle() : own,
              directory == null ? null : directory.toString(),
              config.pageBytes(),
              config.ringPages(),
              handle));
      opened = true;
      return new StatePager(device, handle);
    } finally {
      if (own != null) {
        native_kernels.lk_budget_close(own); // the pager keeps it
      }
      NativeOwner.releaseAll(opened ? null : device, shared, null, null, null);
    }
  }

  Device device() {
    return device;
  }

  /** Registers tensors; returns the number of the first one. */
  long register(String operation, lk_pager_tensor tensors, int count) {
    long[] first = new long[1];
    NativeLibrary.check(operation, native_kernels.lk_pager_register(handle, tensors, count, first));
    return first[0];
  }

  void drop(String operation, long tensor) {
    NativeLibrary.check(operation, native_kernels.lk_pager_drop(handle, tensor));
  }

  void step(String operation, lk_adamw_config config, lk_adamw_report report) {
    NativeLibrary.check(operation, native_kernels.lk_pager_step(handle, config, report));
  }

  void read(String operation, long tensor, int part, long from, long bytes, long target) {
    NativeLibrary.check(
        operation, native_kernels.lk_pager_read(handle, tensor, part, from, bytes, target));
  }

  void importStates(String operation, long[] tensors, lk_adamw_param states) {
    NativeLibrary.check(
        operation, native_kernels.lk_pager_import(handle, tensors, states, tensors.length));
  }

  /** A running step is undone, see {@code lk_pager_cancel}. */
  void cancel() {
    native_kernels.lk_pager_cancel(handle);
  }

  PagerMetrics metrics() {
    lk_pager_stats s = new lk_pager_stats(NativeLibrary.descriptorMemory(lk_pager_stats.class, 1));
    NativeLibrary.check("metrics", native_kernels.lk_pager_query(handle, s));
    return new PagerMetrics(
        s.state_bytes(),
        s.resident_bytes(),
        s.file_bytes(),
        s.buffer_bytes(),
        s.pages(),
        s.resident_pages(),
        s.steps(),
        s.skipped_steps(),
        s.undone_steps(),
        s.read_bytes(),
        s.written_bytes(),
        s.undo_bytes(),
        s.prefetch_hits(),
        s.stalls(),
        s.stall_nanoseconds(),
        s.update_nanoseconds(),
        s.copy_nanoseconds(),
        s.evicted_pages(),
        s.promoted_pages());
  }

  /** Frees the states. */
  @Override
  public void run() {
    native_kernels.lk_pager_close(handle);
    device.releaseUse();
  }
}
