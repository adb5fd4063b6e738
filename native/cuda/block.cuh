// Reductions within a warp and a block of threads, in an order that depends on nothing but the number of threads: results
// are the same bits from run to run. Blocks are one-dimensional, of whole warps.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace lk::cuda {

inline constexpr int kWarpLanes = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int lane_index() {
  return static_cast<int>(threadIdx.x) % kWarpLanes;
}
__device__ __forceinline__ int warp_index() {
  return static_cast<int>(threadIdx.x) / kWarpLanes;
}
__device__ __forceinline__ int warp_count() {
  return static_cast<int>(blockDim.x) / kWarpLanes;
}

struct Add {
  template <typename T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <typename T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

// op over the values of `width` neighbouring lanes (a power of two), by halves; every one of them gets the result, the
// same bits where op is commutative. All lanes of the warp must call it.
template <typename T, typename Op>
__device__ __forceinline__ T warp_reduce(T value, Op op, int width = kWarpLanes) {
  for (int distance = width / 2; distance > 0; distance /= 2) {
    value = op(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

// op over the values of all threads of a block: by halves within a warp, then warp after warp. Every thread gets the
// result. scratch: shared memory, one T for each warp, free for other use on return. All threads must call it.
template <typename T, typename Op>
__device__ __forceinline__ T block_reduce(T value, Op op, T* scratch) {
  value = warp_reduce(value, op);
  if (lane_index() == 0) scratch[warp_index()] = value;
  __syncthreads();
  T result = scratch[0];
  for (int warp = 1; warp < warp_count(); ++warp) result = op(result, scratch[warp]);
  __syncthreads();
  return result;
}

// The sum of the values of the threads before this one in the block; `total` gets that of all. scratch: as for block_reduce.
template <typename T>
__device__ __forceinline__ T block_prefix(T value, T* scratch, T& total) {
  T sum = value;  // of the lanes up to this one
  for (int distance = 1; distance < kWarpLanes; distance *= 2) {
    const T before = __shfl_up_sync(kAllLanes, sum, distance);
    if (lane_index() >= distance) sum += before;
  }
  if (lane_index() == kWarpLanes - 1) scratch[warp_index()] = sum;
  __syncthreads();
  T first = 0;
  total = 0;
  for (int warp = 0; warp < warp_count(); ++warp) {
    if (warp == warp_index()) first = total;
    total += scratch[warp];
  }
  __syncthreads();
  return first + sum - value;
}

}  // namespace lk::cuda
