// The two products of attention, for blocks of four warps. A warp has kRows rows of its own in shared memory; 32 rows of
// the other side stand in a panel that all warps share, kChunk columns of them at a time:
//
//   dots         sums[r]    += rows[r] · panel[lane]                    a lane has one row of the panel
//   accumulate   sums[r][c] += sum over j of weights[r][j] * panel[j][column c of the lane]
//
//   panel     32 x (kChunk + 4) floats: the 4 spread the float4 of eight lanes over all banks
//   columns   lane l has the kLaneColumns columns from l * kLaneColumns on, of every chunk
#pragma once

#include "cuda/attention/sequences.cuh"
#include "cuda/block.cuh"

namespace lk::cuda {

constexpr int kAttentionWarps = 4, kAttentionThreads = kWarpLanes * kAttentionWarps;
constexpr int kPanelRows = kWarpLanes;

template <int kDepth>
struct Panel {
  static constexpr int kChunk = kDepth < 128 ? kDepth : 128, kChunks = kDepth / kChunk;
  static constexpr int kStride = kChunk + 4;
  static constexpr int kLaneColumns = kChunk / kWarpLanes;
  static_assert(kDepth % kChunk == 0 && kChunk % kWarpLanes == 0);

  float values[kPanelRows][kStride];
};

// Sums over the columns of a lane, for each row of a warp.
template <int kDepth, int kRows>
using LaneSums = float[Panel<kDepth>::kChunks][kRows][Panel<kDepth>::kLaneColumns];

template <int kDepth, int kRows>
__device__ void clear(LaneSums<kDepth, kRows>& sums) {
#pragma unroll
  for (int chunk = 0; chunk < Panel<kDepth>::kChunks; ++chunk) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < Panel<kDepth>::kLaneColumns; ++c) sums[chunk][r][c] = 0.0f;
    }
  }
}

// to[r][c] = factor * element first + c of the run of head_dim elements that starts at element start_of(r) of `from`, for
// r < rows and c < columns; 0 behind its end, and where start_of is negative. The threads of a block share the work.
template <int kLaneColumns, typename StartOf>
__device__ void read_rows(const AttentionArgs& a, const AnyMatrix& from, const StartOf& start_of, int rows, int first,
                          int columns, float factor, float* to, int stride) {
  for (int r = warp_index(); r < rows; r += kAttentionWarps) {
    const int64_t start = start_of(r);
    for (int c = lane_index() * kLaneColumns; c < columns; c += kWarpLanes * kLaneColumns) {
      float values[kLaneColumns] = {};
      if (start >= 0) from.load<kLaneColumns>(0, start + first + c, a.head_dim - first - c, values);
#pragma unroll
      for (int i = 0; i < kLaneColumns; ++i) to[r * stride + c + i] = factor * values[i];
    }
  }
}

template <int kRows, int kCount>
__device__ void dots(const float* rows, int row_stride, const float* panel_row, float (&sums)[kRows]) {
#pragma unroll 4
  for (int d = 0; d < kCount; d += 4) {
    const float4 right = *reinterpret_cast<const float4*>(panel_row + d);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float4 left = *reinterpret_cast<const float4*>(rows + r * row_stride + d);
      sums[r] = fmaf(left.x, right.x, sums[r]);
      sums[r] = fmaf(left.y, right.y, sums[r]);
      sums[r] = fmaf(left.z, right.z, sums[r]);
      sums[r] = fmaf(left.w, right.w, sums[r]);
    }
  }
}

template <int kRows, int kColumns>
__device__ void accumulate(const float (&weights)[kRows][kPanelRows], const float* panel_column, int stride,
                           float (&sums)[kRows][kColumns]) {
#pragma unroll 2
  for (int j = 0; j < kPanelRows; j += 4) {
    float right[4][kColumns];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c) right[i][c] = panel_column[(j + i) * stride + c];
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float4 left = *reinterpret_cast<const float4*>(&weights[r][j]);
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        sums[r][c] = fmaf(left.x, right[0][c], sums[r][c]);
        sums[r][c] = fmaf(left.y, right[1][c], sums[r][c]);
        sums[r][c] = fmaf(left.z, right[2][c], sums[r][c]);
        sums[r][c] = fmaf(left.w, right[3][c], sums[r][c]);
      }
    }
  }
}

// factor * sums of row r, to the run that starts at element `start` of `to`.
template <int kDepth, int kRows>
__device__ void write_columns(const AttentionArgs& a, const LaneSums<kDepth, kRows>& sums, int r, float factor,
                              const AnyMatrix& to, int64_t start) {
  constexpr int kColumns = Panel<kDepth>::kLaneColumns;
#pragma unroll
  for (int chunk = 0; chunk < Panel<kDepth>::kChunks; ++chunk) {
    const int column = chunk * Panel<kDepth>::kChunk + lane_index() * kColumns;
    float values[kColumns];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) values[c] = factor * sums[chunk][r][c];
    to.store<kColumns>(0, start + column, a.head_dim - column, values);
  }
}

}  // namespace lk::cuda
