// What accesses cost, by patterns whose cost is known.
#include "emulator/test/schedules.cuh"

namespace lk::test {
namespace {

using namespace emulator;

#ifndef LK_RACE_CHECKED  // which reports that nothing was written to what is read
__global__ void load_rows(int row_bytes) {
  uint32_t m[4];
  ldmatrix(m, shared_address(shared_memory()) + threadIdx.x * static_cast<unsigned>(row_bytes), 4, false);
}

// The cost of four matrices whose rows are row_bytes apart.
uint64_t wavefronts(int row_bytes) {
  reset_statistics();
  CHECK(run_kernel(load_rows, dim3(1), dim3(32), static_cast<size_t>(row_bytes) * 32, row_bytes) == cudaSuccess);
  CHECK(statistics().least_shared_wavefronts == 4);
  return statistics().shared_wavefronts;
}
#endif

#ifdef LK_RACE_CHECKED
template <typename T>
__global__ void walk(const T* in, T* out, int stride) {
  T* shared = reinterpret_cast<T*>(shared_memory());
  const unsigned at = threadIdx.x * static_cast<unsigned>(stride);
  shared[at] = in[at];
  __syncthreads();  // or the compiler would not load it again
  out[threadIdx.x] = shared[at];
}

template <typename T>
Statistics cost(int stride) {
  T *in = nullptr, *out = nullptr;  // aligned as device memory is
  CHECK(cudaMalloc(reinterpret_cast<void**>(&in), 32 * 32 * sizeof(T)) == cudaSuccess);
  CHECK(cudaMalloc(reinterpret_cast<void**>(&out), 32 * sizeof(T)) == cudaSuccess);
  reset_statistics();
  settings().count_traffic = true;
  const cudaError_t error = run_kernel(walk<T>, dim3(1), dim3(32), 32 * 32 * sizeof(T), in, out, stride);
  settings().count_traffic = false;
  CHECK(error == cudaSuccess && cudaFree(in) == cudaSuccess && cudaFree(out) == cudaSuccess);
  return statistics();
}
#endif

}  // namespace

#ifndef LK_RACE_CHECKED
LK_TEST(emulator_counts_conflicts_of_matrix_rows) {
  CHECK(wavefronts(16) == 4);       // side by side
  CHECK(wavefronts(128) == 4 * 8);  // all rows in the same four banks
  CHECK(wavefronts(144) == 4);      // padded by 16 bytes
  CHECK(wavefronts(64) == 4 * 4);
}
#endif

#ifdef LK_RACE_CHECKED
LK_TEST(emulator_counts_what_loads_and_stores_cost) {
  // Stored and loaded once each in shared memory; read with the stride and written side by side in global memory.
  const Statistics words = cost<float>(1);
  CHECK(words.shared_wavefronts == 2 && words.least_shared_wavefronts == 2);
  CHECK(words.global_sectors == words.least_global_sectors);  // 4 and 4, and the reads of the kernel's arguments
  const Statistics far = cost<float>(32);
  CHECK(far.shared_wavefronts == 64 && far.least_shared_wavefronts == 2);
  CHECK(far.global_sectors == words.global_sectors + 28 && far.least_global_sectors == words.least_global_sectors);
  CHECK(cost<float>(3).shared_wavefronts == 2);  // an odd stride meets every bank once
  const Statistics pairs = cost<double>(1);
  CHECK(pairs.shared_wavefronts == 4 && pairs.least_shared_wavefronts == 4 &&
        pairs.global_sectors == words.global_sectors + 8);
}
#endif

}  // namespace lk::test
