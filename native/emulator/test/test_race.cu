// The race checker by kernels that are ordered and kernels that are not, in shared memory, within a warp, and between blocks.
#ifdef LK_RACE_CHECKED

#include "emulator/test/schedules.cuh"

namespace lk::test {
namespace {

using namespace emulator;

enum Order { kOrdered, kUnordered };

template <Order kOrder>
__global__ void neighbours_in_a_warp(int* out) {
  int* shared = reinterpret_cast<int*>(shared_memory());
  shared[threadIdx.x] = 1;
  if (kOrder == kOrdered) __syncwarp();
  out[threadIdx.x] = shared[threadIdx.x ^ 1];
}

// A warp function moves values, but says nothing about memory.
__global__ void shuffle_instead_of_syncwarp(int* out) {
  int* shared = reinterpret_cast<int*>(shared_memory());
  shared[threadIdx.x] = 1;
  const int one = __shfl_sync(0xffffffffu, 1, 0);
  out[threadIdx.x] = shared[threadIdx.x ^ 1] + one;
}

__global__ void partial_barrier(int* out, int reader) {
  int* shared = reinterpret_cast<int*>(shared_memory());
  const int warp = static_cast<int>(threadIdx.x) / 32;
  if (warp == 0) {
    shared[threadIdx.x] = 7;
    bar_sync(1, 64);
  } else if (warp == 1) {
    bar_sync(1, 64);
  }
  if (warp == reader) out[threadIdx.x % 32] = shared[threadIdx.x % 32];
}

// Neighbouring bytes are different places.
__global__ void own_bytes(uint8_t* out) {
  uint8_t* shared = shared_memory();
  shared[threadIdx.x] = static_cast<uint8_t>(threadIdx.x);
  out[threadIdx.x] = shared[threadIdx.x];
}

template <Order kOrder>
__global__ void blocks_write(int* out) {
  out[kOrder == kOrdered ? blockIdx.x : 0] = static_cast<int>(blockIdx.x);
}

__global__ void blocks_read(const int* in, int* out) {
  out[blockIdx.x] = in[(blockIdx.x + 1) % gridDim.x];
}

__global__ void blocks_pass_on(int* data) {
  data[blockIdx.x + 1] = data[blockIdx.x] + 1;
}

// Partial sums, and the block that comes last adds them: ordered by a fence before the atomic.
template <Order kOrder>
__global__ void last_block_adds(int* partial, unsigned* arrived, int* out) {
  int* shared = reinterpret_cast<int*>(shared_memory());
  partial[blockIdx.x * blockDim.x + threadIdx.x] = static_cast<int>(threadIdx.x);
  if (kOrder == kOrdered) __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) shared[0] = atomicAdd(arrived, 1u) == gridDim.x - 1;
  __syncthreads();
  if (!shared[0]) return;
  if (threadIdx.x == 0) {
    int sum = 0;
    for (unsigned i = 0; i < gridDim.x * blockDim.x; ++i) sum += partial[i];
    *out = sum;
  }
}

__global__ void never_written(float* out) {
  out[threadIdx.x] = reinterpret_cast<float*>(shared_memory())[threadIdx.x];
}

}  // namespace

LK_TEST(emulator_race_orders_the_threads_of_a_block) {
  std::vector<int> out(128);
  under_all_schedules([&] {
    run_kernel(neighbours_in_a_warp<kOrdered>, dim3(1), dim3(64), 256, out.data());
    run_kernel(partial_barrier, dim3(1), dim3(96), 256, out.data(), 1);
  });
  must_find("race", [&] { run_kernel(neighbours_in_a_warp<kUnordered>, dim3(1), dim3(32), 256, out.data()); });
  must_find("race", [&] { run_kernel(shuffle_instead_of_syncwarp, dim3(1), dim3(32), 256, out.data()); });
  // Warp 2 comes by no barrier: it reads too early, or in time, but never in order.
  must_find("shared memory", [&] { run_kernel(partial_barrier, dim3(1), dim3(96), 256, out.data(), 2); });
  std::vector<uint8_t> bytes(96);
  under_all_schedules([&] { run_kernel(own_bytes, dim3(1), dim3(32), 32, bytes.data()); });
  must_find("never written", [&] {
    std::vector<float> floats(32);
    run_kernel(never_written, dim3(1), dim3(32), 128, floats.data());
  });
}

LK_TEST(emulator_race_orders_the_blocks_of_a_launch) {
  std::vector<int> in(64), out(64);
  under_all_schedules([&] {
    run_kernel(blocks_write<kOrdered>, dim3(8), dim3(1), 0, in.data());
    run_kernel(blocks_read, dim3(8), dim3(1), 0, in.data(), out.data());  // after the launch that wrote
    run_kernel(blocks_write<kOrdered>, dim3(8), dim3(1), 0, in.data());   // and before the next one
  });
  must_find("another block", [&] { run_kernel(blocks_write<kUnordered>, dim3(8), dim3(1), 0, out.data()); });
  must_find("another block", [&] { run_kernel(blocks_pass_on, dim3(8), dim3(1), 0, out.data()); });
  std::vector<int> partial(4 * 64);
  const auto run_sums = [&](auto kernel) {
    unsigned arrived = 0;
    int sum = 0;
    run_kernel(kernel, dim3(4), dim3(64), 16, partial.data(), &arrived, &sum);
    CHECK(sum == 4 * 63 * 32);
  };
  under_all_schedules([&] { run_sums(last_block_adds<kOrdered>); });
  must_find("another block", [&] { run_sums(last_block_adds<kUnordered>); });
}

}  // namespace lk::test

#endif
