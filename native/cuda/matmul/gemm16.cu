// The product of matrices of 16-bit floats on tensor cores (mma.sync m16n8k16), for many rows.
//
//   out [rows, cols] = epilogue( mask * (adapter.left * adapter.right^T) + main.left * main.right^T )
//
// A block of 8 warps owns a tile of kTile x kTile of the output; warp (wr, wc) = (warp / 4, warp % 4) owns 64 x 32 of it:
// 4 x 4 fragments of 16 x 8. Steps of kStep of depth come through kStages stages of shared memory, 16 bytes a copy:
//
//   stored [lines, depth]    a stage is [kTile][kStep]: 8 chunks of 16 bytes a row, read by ldmatrix
//   stored [depth, lines]    a stage is [kStep][kTile]: 16 chunks a row, read by ldmatrix.trans
//
// Chunk c of row r lies at place c ^ (r % 8), so that the 8 rows of a matrix are in 8 different groups of banks. Elements
// that are not there, in any direction, arrive as zeros. Copies are asynchronous where addresses are multiples of 16 bytes;
// elsewhere elements are fetched one by one, into the same places.
//
// The adapter's term goes first, as steps of its own on the same sums, and is masked while it stands there alone.
//
// Error of an element: operands are exact products in F32 sums (tensor cores may add with fewer bits of rounding than F32, and
// truncate: 2^-22 of the magnitude or so for each step of 16); the adapter's parts add 2^-16 of its magnitude.
#include <algorithm>

#include "cuda/block.cuh"
#include "cuda/launch.cuh"
#include "cuda/matmul/gemm16.h"
#include "cuda/ptx.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256;
// Blocks of a multiprocessor. For sm_100, ptxas would fit two into the registers only by spilling.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 1000
constexpr int kBlocks = 1;
#else
constexpr int kBlocks = 2;
#endif
constexpr int kTile = 128, kStep = 64, kStages = 3;
constexpr int kChunk = 8;  // elements of 16 bytes
constexpr int kWarpRows = 64, kWarpCols = 32, kWarpsAcross = kTile / kWarpCols;
constexpr int kRowFragments = kWarpRows / 16, kColPairs = kWarpCols / 16;
static_assert(kTile / kWarpRows * kWarpsAcross * kWarpLanes == kThreads, "a part of the tile for each warp");

struct Side16 {
  Matrix16 matrix;
  bool aligned;  // every row begins at a multiple of 16 bytes
};

struct Arguments16 {
  Side16 left[2], right[2];  // of the adapter's term, of the main one
  int64_t depth[2];
  int32_t first_term;
  DropoutMask mask;
  int64_t mask_row, mask_col;
  int64_t row_blocks;
  Epilogue epilogue;
};

struct Stage {
  uint16_t left[kTile * kStep];
  uint16_t right[kTile * kStep];
};

// The sums of a block, on their way out: the pitch spreads the rows of a fragment over the banks.
constexpr int kSumPitch = kTile + 8;
union Memory16 {
  Stage stage[kStages];
  float sums[kTile][kSumPitch];
};

// Place of chunk `chunk` of row `row` in a stage whose rows have kChunks chunks, in elements.
template <int kChunks>
__device__ __forceinline__ int place(int row, int chunk) {
  return (row * kChunks + (chunk ^ (row & 7))) * kChunk;
}

// Rows [row, row + kRows) and columns [col, col + kCols) of a side, as far as they are there, into a stage.
template <int kRows, int kCols>
__device__ __forceinline__ void fetch(const Side16& side, int64_t row, int64_t col, uint16_t* stage) {
  constexpr int kChunks = kCols / kChunk;
#pragma unroll
  for (int i = 0; i < kRows * kChunks / kThreads; ++i) {
    const int index = static_cast<int>(threadIdx.x) + i * kThreads, r = index / kChunks, c = index % kChunks;
    uint16_t* to = stage + place<kChunks>(r, c);
    const Matrix16& m = side.matrix;
    const int64_t left = row + r < m.rows ? m.cols - (col + c * kChunk) : 0;
    const int count = static_cast<int>(max(int64_t{0}, min(left, int64_t{kChunk})));
    const uint16_t* from = count > 0 ? m.data + (row + r) * m.stride + col + c * kChunk : m.data;
    if (side.aligned) {
      ptx::cp_async_16(ptx::shared_address(to), from, static_cast<uint32_t>(count) * 2);
      continue;
    }
    uint32_t pair[kChunk / 2];
#pragma unroll
    for (int e = 0; e < kChunk; e += 2) {
      pair[e / 2] = (e < count ? uint32_t{from[e]} : 0) | (e + 1 < count ? uint32_t{from[e + 1]} : 0) << 16;
    }
    *reinterpret_cast<uint4*>(to) = make_uint4(pair[0], pair[1], pair[2], pair[3]);
  }
}

template <bool kColumns>
__device__ __forceinline__ void fetch_side(const Side16& side, int64_t line, int64_t depth, uint16_t* stage) {
  if constexpr (kColumns) {
    fetch<kStep, kTile>(side, depth, line, stage);
  } else {
    fetch<kTile, kStep>(side, line, depth, stage);
  }
}

// Fragments of 16 lines x 16 of depth. Left: a[0 ... 3] of mma. Right: b0, b1 of lines 0 ... 7, then of lines 8 ... 15.
template <bool kColumns>
__device__ __forceinline__ void read_left(uint32_t (&a)[4], const uint16_t* stage, int line, int depth) {
  const int lane = lane_index(), lower = lane & 7, second = lane >> 3 & 1, fourth = lane >> 4;
  if constexpr (kColumns) {
    ptx::ldmatrix_x4_trans(
        a, ptx::shared_address(stage + place<kTile / kChunk>(depth + fourth * 8 + lower, line / kChunk + second)));
  } else {
    ptx::ldmatrix_x4(
        a, ptx::shared_address(stage + place<kStep / kChunk>(line + second * 8 + lower, depth / kChunk + fourth)));
  }
}
template <bool kColumns>
__device__ __forceinline__ void read_right(uint32_t (&b)[4], const uint16_t* stage, int line, int depth) {
  const int lane = lane_index(), lower = lane & 7, second = lane >> 3 & 1, fourth = lane >> 4;
  if constexpr (kColumns) {
    ptx::ldmatrix_x4_trans(
        b, ptx::shared_address(stage + place<kTile / kChunk>(depth + second * 8 + lower, line / kChunk + fourth)));
  } else {
    ptx::ldmatrix_x4(
        b, ptx::shared_address(stage + place<kStep / kChunk>(line + fourth * 8 + lower, depth / kChunk + second)));
  }
}

using Sums = float[kRowFragments][kColPairs * 2][4];

// sums += left * right^T of term t
template <bool kF16, bool kLeftColumns, bool kRightColumns>
__device__ __forceinline__ void add_term(Sums& sums, const Arguments16& p, int t, int64_t i0, int64_t j0,
                                         Memory16& memory) {
  const int warp = warp_index(), wr = warp / kWarpsAcross * kWarpRows, wc = warp % kWarpsAcross * kWarpCols;
  const int64_t steps = (p.depth[t] + kStep - 1) / kStep;
  const auto fetch_step = [&](int64_t step) {
    if (step < steps) {
      Stage& stage = memory.stage[step % kStages];
      fetch_side<kLeftColumns>(p.left[t], i0, step * kStep, stage.left);
      fetch_side<kRightColumns>(p.right[t], j0, step * kStep, stage.right);
    }
    ptx::cp_async_commit();
  };
#pragma unroll 1
  for (int64_t step = 1 - kStages; step < steps; ++step) {  // the first kStages - 1 rounds only fetch
    if (step >= 0) {
      ptx::cp_async_wait<kStages - 2>();
      __syncthreads();  // the stage has arrived for all, and nobody reads the one that is fetched into next
    }
    fetch_step(step + kStages - 1);
    if (step < 0) continue;
    const Stage& stage = memory.stage[step % kStages];
#pragma unroll
    for (int depth = 0; depth < kStep; depth += 16) {
      uint32_t left[kRowFragments][4], right[kColPairs][4];
#pragma unroll
      for (int r = 0; r < kRowFragments; ++r) read_left<kLeftColumns>(left[r], stage.left, wr + r * 16, depth);
#pragma unroll
      for (int c = 0; c < kColPairs; ++c) read_right<kRightColumns>(right[c], stage.right, wc + c * 16, depth);
#pragma unroll
      for (int r = 0; r < kRowFragments; ++r) {
#pragma unroll
        for (int c = 0; c < kColPairs * 2; ++c) {
          const uint32_t b0 = right[c / 2][c % 2 * 2], b1 = right[c / 2][c % 2 * 2 + 1];
          if constexpr (kF16) {
            ptx::mma_f16(sums[r][c], left[r], b0, b1);
          } else {
            ptx::mma_bf16(sums[r][c], left[r], b0, b1);
          }
        }
      }
    }
  }
  ptx::cp_async_wait<0>();
  __syncthreads();
}

// f(row of the tile, column of the tile, two neighbouring sums) for all that a thread holds
template <typename F>
__device__ __forceinline__ void for_each_pair(Sums& sums, F&& f) {
  const int warp = warp_index(), lane = lane_index();
  const int row = warp / kWarpsAcross * kWarpRows + lane / 4, col = warp % kWarpsAcross * kWarpCols + lane % 4 * 2;
#pragma unroll
  for (int r = 0; r < kRowFragments; ++r) {
#pragma unroll
    for (int c = 0; c < kColPairs * 2; ++c) {
      f(row + r * 16, col + c * 8, sums[r][c][0], sums[r][c][1]);
      f(row + r * 16 + 8, col + c * 8, sums[r][c][2], sums[r][c][3]);
    }
  }
}
__device__ __forceinline__ void put_sums(Sums& sums, Memory16& memory) {
  for_each_pair(sums, [&](int r, int c, float first, float second) {
    *reinterpret_cast<float2*>(&memory.sums[r][c]) = make_float2(first, second);
  });
  __syncthreads();
}

// sums *= dropout. By way of shared memory, where a thread meets the four columns that one Philox block serves.
__device__ __forceinline__ void mask_sums(Sums& sums, const Arguments16& p, int64_t i0, int64_t j0, Memory16& memory) {
  put_sums(sums, memory);
#pragma unroll 1
  for (int group = static_cast<int>(threadIdx.x); group < kTile * kTile / 4; group += kThreads) {
    const int r = group / (kTile / 4), c = group % (kTile / 4) * 4;
    const Philox4 words = p.mask.words(p.mask_row + i0 + r, (p.mask_col + j0 + c) / 4);
#pragma unroll
    for (int e = 0; e < 4; ++e) memory.sums[r][c + e] *= words.word[e] >= p.mask.threshold ? p.mask.scale : 0.0f;
  }
  __syncthreads();
  for_each_pair(sums, [&](int r, int c, float& first, float& second) {
    const float2 pair = *reinterpret_cast<const float2*>(&memory.sums[r][c]);
    first = pair.x;
    second = pair.y;
  });
  __syncthreads();
}

template <bool kF16, bool kLeftColumns, bool kRightColumns>
__global__ void __launch_bounds__(kThreads, kF16 || kLeftColumns ? 1 : kBlocks)
    gemm16(const __grid_constant__ Arguments16 p) {
  auto& memory = *reinterpret_cast<Memory16*>(LK_SHARED_MEMORY());
  const int64_t i0 = blockIdx.x % p.row_blocks * kTile, j0 = blockIdx.x / p.row_blocks * kTile;
  Sums sums = {};
  if constexpr (kF16) {
    if (p.first_term == 0) {
      add_term<false, kLeftColumns, kRightColumns>(sums, p, 0, i0, j0, memory);
      if (p.mask.active()) mask_sums(sums, p, i0, j0, memory);
    }
    add_term<true, kLeftColumns, kRightColumns>(sums, p, 1, i0, j0, memory);
  } else {
#pragma unroll 1
    for (int t = p.first_term; t < 2; ++t) {
      add_term<false, kLeftColumns, kRightColumns>(sums, p, t, i0, j0, memory);
      if (t == 0 && p.mask.active()) mask_sums(sums, p, i0, j0, memory);
    }
  }
  put_sums(sums, memory);
  const Output& out = p.epilogue.out;
#pragma unroll 1
  for (int element = static_cast<int>(threadIdx.x); element < kTile * kTile; element += kThreads) {
    const int r = element / kTile, c = element % kTile;
    if (i0 + r < out.rows && j0 + c < out.cols) p.epilogue.store(i0 + r, j0 + c, memory.sums[r][c]);
  }
}

Side16 side_of(const Matrix16& m) {
  return {m, reinterpret_cast<uintptr_t>(m.data) % 16 == 0 && m.stride % kChunk == 0};
}

}  // namespace

void multiply_16(CudaDevice& device, const Product16& product) {
  const auto depth_of = [&](const Term16& term) { return product.left_columns ? term.left.rows : term.left.cols; };
  const Output& out = product.epilogue.out;
  const Arguments16 arguments{{side_of(product.adapter.left), side_of(product.main.left)},
                              {side_of(product.adapter.right), side_of(product.main.right)},
                              {depth_of(product.adapter), depth_of(product.main)},
                              product.adapter.left.data != nullptr ? 0 : 1,
                              product.mask,
                              product.mask_row,
                              product.mask_col,
                              ceil_div(out.rows, kTile),
                              product.epilogue};
  const dim3 grid(static_cast<unsigned>(arguments.row_blocks * ceil_div(out.cols, kTile)));
  const auto start = [&](auto kernel) { launch(device, kernel, grid, dim3(kThreads), sizeof(Memory16), arguments); };
  if (product.left_columns) {
    product.f16 ? start(gemm16<true, true, true>) : start(gemm16<false, true, true>);
  } else if (product.right_columns) {
    product.f16 ? start(gemm16<true, false, true>) : start(gemm16<false, false, true>);
  } else {
    product.f16 ? start(gemm16<true, false, false>) : start(gemm16<false, false, false>);
  }
}

}  // namespace lk::cuda
