// Sums over the rows of a matrix, one for each column, in an order that is a function of the shape alone.
//
//   rows      [ part 0 ][ part 1 ] ...        a part is summed in F32, row after row, by one thread a column
//   partial   [ cols   ][ cols   ] ...        parts are then summed in F64, in order, and added to the output
//
// The workspace holds the partial sums; a part has more rows where they would not fit.
#pragma once

#include <algorithm>

#include "common/format4.h"
#include "cuda/launch.cuh"

namespace lk::cuda {

inline constexpr int kColumnThreads = 256;

// terms.add(sum, row, col): sum and the term of that element.
template <typename Terms>
__global__ void __launch_bounds__(kColumnThreads)
    column_parts_kernel(Terms terms, int64_t rows, int64_t cols, int64_t part_rows, float* partial) {
  const int64_t col = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, first = blockIdx.y * part_rows;
  if (col >= cols) return;
  const int64_t end = first + part_rows < rows ? first + part_rows : rows;
  float sum = 0.0f;
#pragma unroll 4
  for (int64_t row = first; row < end; ++row) sum = terms.add(sum, row, col);
  partial[blockIdx.y * cols + col] = sum;
}

// out[col] += the sum of the parts of column col
void add_column_parts(Device& device, const float* partial, int64_t parts, int64_t cols, float* out);

// out[col] += the sum of all terms of column col; neither dimension is 0.
template <typename Terms>
void add_column_sums(Device& device, const Terms& terms, int64_t rows, int64_t cols, float* out) {
  constexpr int64_t kLeastRows = 16, kMostParts = 128;
  const int64_t fitting = static_cast<int64_t>(kMaxWorkspaceBytes / sizeof(float)) / cols;
  const int64_t limit = std::max<int64_t>(1, std::min({ceil_div(rows, kLeastRows), kMostParts, fitting}));
  const int64_t part_rows = ceil_div(rows, limit), parts = ceil_div(rows, part_rows);
  const Workspace memory(device, static_cast<size_t>(parts * cols) * sizeof(float));
  float* partial = reinterpret_cast<float*>(memory.data());
  launch(device, column_parts_kernel<Terms>,
         dim3(static_cast<unsigned>(ceil_div(cols, kColumnThreads)), static_cast<unsigned>(parts)),
         dim3(kColumnThreads), 0, terms, rows, cols, part_rows, partial);
  add_column_parts(device, partial, parts, cols, out);
}

}  // namespace lk::cuda
