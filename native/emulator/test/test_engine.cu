// The engine by kernels whose results are known: barriers, warp functions, divergence, shared memory, and what it must find.
#include <cuda_runtime.h>

#include <algorithm>
#include <numeric>

#include "emulator/test/schedules.cuh"

namespace lk::test {
namespace {

using emulator::restore_machine;
using emulator::shared_memory;

__global__ void coordinates(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  atomicAdd(out + block * blockDim.x * blockDim.y * blockDim.z + thread, 1u);
}

// Reverses each block's elements by way of shared memory.
__global__ void reverse(const int* in, int* out) {
  int* shared = reinterpret_cast<int*>(shared_memory());
  const unsigned base = blockIdx.x * blockDim.x;
  shared[threadIdx.x] = in[base + threadIdx.x];
  __syncthreads();
  out[base + threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

// Sums by halves within a warp, then over the warps; threads run the loop a different number of times before.
__global__ void sums(const int* in, int* out) {
  int* shared = reinterpret_cast<int*>(shared_memory());
  int value = 0;
  for (unsigned i = 0; i <= threadIdx.x % 7; ++i) value += in[threadIdx.x] * static_cast<int>(i + 1);
  __syncwarp();
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  int total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) total += shared[w];
  out[threadIdx.x] = total;
}

__global__ void warp_functions(uint64_t* out) {
  const unsigned lane = threadIdx.x;
  uint64_t* mine = out + lane * 12;
  mine[0] = __ballot_sync(0xffffffffu, lane % 3 == 0);
  mine[1] = __any_sync(0xffffffffu, lane == 31);
  mine[2] = __all_sync(0xffffffffu, lane < 31);
  mine[3] = __shfl_sync(0xffffffffu, lane * 10, 5);
  mine[4] = __shfl_up_sync(0xffffffffu, lane, 3);
  mine[5] = __shfl_down_sync(0xffffffffu, lane, 3, 16);
  mine[6] = __shfl_sync(0xffffffffu, uint64_t{lane} << 40, 9, 8);
  mine[7] = __reduce_add_sync(0xffffffffu, lane);
  mine[8] = __match_any_sync(0xffffffffu, lane / 16);
  if (lane < 8) {  // a part of the warp on its own
    mine[9] = __ballot_sync(0x000000ffu, lane % 2 == 0);
  } else {
    mine[9] = __ballot_sync(0xffffff00u, true);
  }
  mine[10] = static_cast<uint64_t>(__reduce_max_sync(0xffffffffu, -static_cast<int>(lane)) + 100);
  mine[11] = static_cast<uint64_t>(__syncthreads_count(lane % 4 == 1));
}

__global__ void barrier_of_some() {
  if (threadIdx.x < 32) __syncthreads();
}

__global__ void divergent() {
  if (threadIdx.x < 16) {
    __shfl_sync(0xffffffffu, 1, 0);
  } else {
    __ballot_sync(0xffffffffu, 1);
  }
}

__global__ void mask_of_ended_lanes() {
  if (threadIdx.x >= 16) return;
  for (int i = 0; i < 3; ++i) __syncwarp(0xffffu);
  __shfl_sync(0xffffffffu, 1, 0);
}

#ifndef __SANITIZE_ADDRESS__  // which ends the process
__global__ void behind_shared(int elements) {
  if (threadIdx.x == 0) reinterpret_cast<int*>(shared_memory())[elements] = 1;
}
#endif

#ifndef LK_RACE_CHECKED  // which reports it
__global__ void read_unwritten(float* out) {
  out[threadIdx.x] = reinterpret_cast<float*>(shared_memory())[threadIdx.x];
}
#endif

}  // namespace

LK_TEST(emulator_gives_every_thread_its_coordinates) {
  under_all_schedules([] {
    const dim3 grid(3, 5, 2), block(4, 3, 7);
    std::vector<unsigned> out(3 * 5 * 2 * 4 * 3 * 7, 0);
    CHECK(run_kernel(coordinates, grid, block, 0, out.data()) == cudaSuccess);
    for (unsigned count : out) CHECK(count == 1);
  });
}

LK_TEST(emulator_barriers_order_shared_memory) {
  under_all_schedules([] {
    for (unsigned threads : {1u, 31u, 32u, 33u, 256u, 1024u}) {
      std::vector<int> in(threads * 4), out(threads * 4);
      std::iota(in.begin(), in.end(), 100);
      CHECK(run_kernel(reverse, dim3(4), dim3(threads), threads * 4, in.data(), out.data()) == cudaSuccess);
      for (unsigned i = 0; i < in.size(); ++i) {
        CHECK(out[i] == in[i / threads * threads + threads - 1 - i % threads]);
      }
    }
  });
}

LK_TEST(emulator_warps_meet_again_after_divergent_loops) {
  under_all_schedules([] {
    std::vector<int> in(256), out(256);
    std::iota(in.begin(), in.end(), 1);
    CHECK(run_kernel(sums, dim3(1), dim3(256), 8 * 4, in.data(), out.data()) == cudaSuccess);
    int expected = 0;
    for (int i = 0; i < 256; ++i) expected += in[i] * (i % 7 + 1) * (i % 7 + 2) / 2;
    for (int value : out) CHECK(value == expected);
  });
}

LK_TEST(emulator_warp_functions_follow_the_manual) {
  under_all_schedules([] {
    std::vector<uint64_t> out(32 * 12);
    CHECK(run_kernel(warp_functions, dim3(1), dim3(32), 0, out.data()) == cudaSuccess);
    for (uint64_t lane = 0; lane < 32; ++lane) {
      const uint64_t* mine = &out[lane * 12];
      CHECK(mine[0] == 0x49249249u && mine[1] == 1 && mine[2] == 0 && mine[3] == 50);
      CHECK(mine[4] == (lane < 3 ? lane : lane - 3));
      CHECK(mine[5] == (lane % 16 + 3 > 15 ? lane : lane + 3));
      CHECK(mine[6] == (lane / 8 * 8 + 1) << 40);
      CHECK(mine[7] == 31 * 16 && mine[8] == (lane < 16 ? 0x0000ffffu : 0xffff0000u));
      CHECK(mine[9] == (lane < 8 ? 0x55u : 0xffffff00u) && mine[10] == 100 && mine[11] == 8);
    }
  });
}

LK_TEST(emulator_finds_threads_that_wait_forever) {
  must_find("deadlock", [] { CHECK(run_kernel(barrier_of_some, dim3(2), dim3(64), 0) == cudaErrorLaunchFailure); });
}

LK_TEST(emulator_finds_divergent_collectives) {
  must_find("divergence", [] { CHECK(run_kernel(divergent, dim3(1), dim3(32), 0) == cudaErrorLaunchFailure); });
  must_find("names lanes that have ended", [] { run_kernel(mask_of_ended_lanes, dim3(1), dim3(32), 0); });
}

#ifndef __SANITIZE_ADDRESS__
LK_TEST(emulator_finds_writes_behind_shared_memory) {
  must_find("behind the end", [] { run_kernel(behind_shared, dim3(3), dim3(32), 400, 100); });
}
#endif

#ifndef LK_RACE_CHECKED
LK_TEST(emulator_poisons_shared_memory) {
  under_all_schedules([] {
    std::vector<float> out(32, 0.0f);
    CHECK(run_kernel(read_unwritten, dim3(1), dim3(32), 128, out.data()) == cudaSuccess);
    for (float value : out) CHECK(std::isnan(value));
  });
}

#endif

LK_TEST(emulator_refuses_what_a_gpu_refuses) {
  restore_machine();
  CHECK(run_kernel(barrier_of_some, dim3(0), dim3(32), 0) == cudaErrorInvalidConfiguration);
  CHECK(run_kernel(barrier_of_some, dim3(1), dim3(1025), 0) == cudaErrorInvalidConfiguration);
  CHECK(run_kernel(barrier_of_some, dim3(1, 65536), dim3(32), 0) == cudaErrorInvalidConfiguration);
  CHECK(run_kernel(barrier_of_some, dim3(1), dim3(32), 49153) == cudaErrorInvalidValue);  // not asked for
  CHECK(cudaGetLastError() == cudaErrorInvalidValue && cudaGetLastError() == cudaSuccess);
}

}  // namespace lk::test
