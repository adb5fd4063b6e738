// Elementwise kernels: every thread takes packs of kPack neighbouring elements of a row, in strides of the whole grid.
// Elements of a pack are read before they are written, so that an output may be an input.
#pragma once

#include <initializer_list>

#include "cuda/convert.cuh"
#include "cuda/launch.cuh"

namespace lk::cuda {

inline constexpr int kPack = 4, kPackThreads = 256;

// body(row, col, count) for all packs of this thread: the count <= kPack elements (row, col ... col + count).
template <typename Body>
__device__ __forceinline__ void for_each_pack(int64_t rows, int64_t cols, const Body& body) {
  const int64_t in_row = (cols + kPack - 1) / kPack, step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows * in_row; i += step) {
    const int64_t row = rows == 1 ? 0 : i / in_row, col = (rows == 1 ? i : i % in_row) * kPack;
    body(row, col, cols - col < kPack ? cols - col : kPack);
  }
}

inline dim3 pack_blocks(Device& device, int64_t rows, int64_t cols) {
  return dim3(grid_stride_blocks(cuda_device(device), rows * ceil_div(cols, kPack), kPackThreads));
}

struct Extent {
  int64_t rows, cols;
};

// What a kernel that treats all elements alike walks through: matrices without gaps are one row.
inline Extent longest_rows(std::initializer_list<const lk_tensor*> tensors) {
  const lk_tensor& like = **tensors.begin();
  for (const lk_tensor* t : tensors) {
    if (t->row_stride != t->cols) return {like.rows, like.cols};
  }
  return {1, like.rows * like.cols};
}

// Blocks of a kernel that takes a row at a time, in strides of the grid.
inline dim3 row_blocks(int64_t rows) {
  constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1;
  return dim3(static_cast<unsigned>(rows < kMostBlocks ? rows : kMostBlocks));
}

}  // namespace lk::cuda
