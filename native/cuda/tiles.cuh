// How kernels that treat every element alike walk over matrices: each thread has kCount neighbouring elements of one row, so
// that whole vectors move where addresses allow it; short rows share a block of threads, long ones take several.
//
//   cols = 100, kCount = 4:  32 threads a row, 8 rows a block      cols = 5000:  256 threads, 5 blocks a row
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "common/format4.h"
#include "cuda/convert.cuh"
#include "lora_kernels.h"

namespace lk::cuda {

inline constexpr int kTileThreads = 256;

template <int kCount>
struct Tiles {
  static constexpr int kElements = kCount;  // of a thread

  Tiles(int64_t rows_, int64_t cols_) : rows(rows_), cols(cols_) {
    while ((int64_t{1} << row_shift) * kCount < cols && 1 << row_shift < kTileThreads) ++row_shift;
    tiles_per_row = static_cast<uint32_t>(ceil_div(cols, (int64_t{1} << row_shift) * kCount));
  }

  // Below 2^31 blocks for up to 2^40 elements.
  dim3 grid() const { return dim3(static_cast<unsigned>(ceil_div(rows, kTileThreads >> row_shift) * tiles_per_row)); }

  // The thread's elements of a tile: (row, col ... col + count); count is 0 or less where it has none, and may be above
  // kCount.
  struct Place {
    int64_t row, col, count;
  };
  __device__ __forceinline__ Place place(uint32_t index = blockIdx.x) const {
    const uint32_t band = index / tiles_per_row, tile = index % tiles_per_row;
    const int64_t row = int64_t{band} * (kTileThreads >> row_shift) + (threadIdx.x >> row_shift);
    const int64_t col = (int64_t{tile} << row_shift | (threadIdx.x & ((1u << row_shift) - 1u))) * kCount;
    return {row, col, row < rows ? cols - col : 0};
  }

  int64_t rows, cols;
  uint32_t tiles_per_row;
  int row_shift = 0;  // 2^row_shift threads side by side in a row
};

// Whether rows of every one of the matrices follow one another without gaps, so that all is one long row.
template <typename... Tensors>
bool without_gaps(const Tensors&... tensors) {
  return ((tensors.row_stride == tensors.cols) && ...);
}

// The tiles of operations to which rows mean nothing.
template <int kCount, typename... Tensors>
Tiles<kCount> tiles_of(const lk_tensor& out, const Tensors&... in) {
  return without_gaps(out, in...) ? Tiles<kCount>(1, out.rows * out.cols) : Tiles<kCount>(out.rows, out.cols);
}

}  // namespace lk::cuda
