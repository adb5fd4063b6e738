// What tests set and read: how the emulator schedules threads, what it found wrong, and which faults of a GPU it plays.
// Kernels and the backend never include this.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/include/cuda_runtime_api.h"

namespace lk::emulator {

struct Settings {
  // 0: threads run in order and take turns first in, first out. Otherwise threads start and take turns in an order drawn from
  // the seed: odd seeds uniformly, even ones with the thread first that became ready last, so that one warp runs far ahead.
  uint64_t seed = 0;
  // Asynchronous copies land late: at the wait for them, or (where seed is not 0) at a random moment before it. False: at issue.
  bool defer_copies = true;
  // Only so many blocks at the end of every grid run: for matrices too large to be walked. 0: all.
  uint64_t last_blocks = 0;
  bool count_traffic = false;  // see Statistics
};

Settings& settings();

// What is wrong with a kernel although it may have computed the right values: a divergent collective, a deadlock, an access
// outside shared memory, a race. The first few of every launch are kept as text; all are counted.
std::vector<std::string> take_findings();  // since the last call

// Counters over all launches since reset_statistics.
struct Statistics {
  uint64_t launches = 0, blocks = 0, threads = 0;
  uint64_t switches = 0;  // from one thread to another that had not ended
  // What shared memory takes for the accesses of warps, and would take if no two lanes of one used different words of a bank:
  // of ldmatrix and stmatrix, and in the race-checked build of all loads and stores, where Settings::count_traffic is set.
  uint64_t shared_wavefronts = 0, least_shared_wavefronts = 0;
  // Sectors of 32 bytes of global memory that the requests of warps touch, and the fewest that could hold their bytes; in the
  // race-checked build, where Settings::count_traffic is set.
  uint64_t global_sectors = 0, least_global_sectors = 0;
};

Statistics statistics();
void reset_statistics();

// ---- the GPU that the emulated runtime shows --------------------------------------------------------------------

struct Machine {
  int devices = 1;
  bool driver = true;
  int major = 9, minor = 0;  // compute capability
  int multiprocessors = 4;
  size_t memory_bytes = size_t{16} << 30;
};
Machine& machine();  // read by the next call into the runtime

// Calls into the runtime that can be made to fail.
enum class Call {
  kAny,      // every call but cudaGetLastError and its like
  kDevices,  // counting, choosing and describing GPUs
  kAllocate,
  kLaunch,  // the launch itself is refused
  kKernel,  // the kernel does not run to its end: the launch succeeds, the next call returns the error
  kCopy,    // copies and fills
  kSynchronize,
};

// The next call of this kind, after `skipped` others, returns `error`. One that is sticky on a GPU (cudaErrorLaunchFailure,
// cudaErrorIllegalAddress, cudaErrorECCUncorrectable, cudaErrorUnknown ...) is then returned by every call until
// restore_machine(): so does a GPU that disappears.
void fail_call(Call call, cudaError_t error, int skipped = 0);

// Forgets faults, and makes machine() what it was. After a sticky error all that was allocated is gone, as with the process
// that would have had to start again.
void restore_machine();

// Allocations of device memory that have not been freed.
int64_t live_allocations();

}  // namespace lk::emulator
