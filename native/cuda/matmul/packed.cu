// x * W^T and dy * W for at most 64 rows of 16-bit activations and a weight in 4 bits, which is read once and never stored in
// another form: tensor cores (mma.sync m16n8k16) take it from registers.
//
// A block of 4 warps owns 64 columns of the output, all rows, and one slice of depth; a warp owns 16 columns. Steps of 64 of
// depth come through kStages stages of shared memory by asynchronous copies: 64 elements of 64 rows of W, and of all rows of x
// (which is dy where `transposed`). The sum over depth may run in any order, so depth is dealt out to the lanes of an mma in
// the order that suits the bytes as they lie. Lane (g, c) = (lane / 4, lane % 4) takes 16 c ... 16 c + 15 of a step's depth:
//
//   depth (+ 16 c)     0 1     2 3     4 5     6 7     8 9    10 11   12 13   14 15
//   mma, operand       0 b0    0 b1    1 b0    1 b1    2 b0    2 b1    3 b0    3 b1      the same of x: a0, a1 and a2, a3
//
//   x * W^T   of row g of each of two tiles of 8: 8 bytes, and a byte is an operand register. 16 elements that begin at a
//             multiple of 16 share one block, hence one scale, which the lane fetches a step ahead.
//   dy * W    of byte g of the warp's 8 bytes of each of 16 rows: columns 2 g (tile 0, high nibbles) and 2 g + 1 (tile 1, low
//             ones); two rows make a register of either tile. The scales of a step, two blocks of 32 or one for each row,
//             come to shared memory a step ahead. 16 rows are followed by a gap of 16 bytes, against bank conflicts.
//
// Nibbles become code * scale in F32, rounded once to the type of x. Rows of 64 elements of x lie in 8 chunks of 16 bytes,
// chunk k at place k ^ (row % 8).
//
// Error of an element: as gemm16.cu, for weights that are rounded once.
#include <algorithm>

#include "cuda/block.cuh"
#include "cuda/launch.cuh"
#include "cuda/matmul/packed.h"
#include "cuda/ptx.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarpLanes;
constexpr int kStep = 64, kStages = 5;
constexpr int kCols = 64, kWarpCols = kCols / kWarps, kColTiles = kWarpCols / 8;
constexpr int kRowBytes = 32;  // of a row of W in a stage: 64 elements
constexpr int kBlocks = 2;     // of scales that these may have
static_assert(kCols == kStep && kStep * kRowBytes / 16 == kThreads, "a chunk of W for each thread");
static_assert(kStep * kBlocks == kThreads, "a scale for each thread");

struct PackedArguments {
  const uint16_t* x;
  int64_t rows, stride;  // of x
  bool x_aligned;        // every row begins at a multiple of 16 bytes
  FourBitMatrix weight;
  int64_t weight_rows;
  int64_t depth;    // columns of x
  int64_t slice;    // depth of a split; a multiple of kStep
  float* partials;  // null: one split, stored by the epilogue
  Epilogue epilogue;
};

template <int kRowTiles>
struct PackedStage {
  uint16_t x[kRowTiles * 16 * kStep];
  uint8_t weight[kStep * kRowBytes + kStep / 16 * 16];
};
template <int kRowTiles>
struct PackedMemory {
  union {
    PackedStage<kRowTiles> stage[kStages];
    float sums[kRowTiles * 16][kCols + 8];
  };
  float code[16];
  float scales[2][kBlocks][kStep + kStep / 16 * 4];  // transposed: of even and of odd steps; gaps as those of `weight`
};

// Where row `row` of W begins in a stage, in bytes.
template <bool kTransposed>
__device__ __forceinline__ int row_place(int row) {
  return row * kRowBytes + (kTransposed ? row / 16 * 16 : 0);
}

// Place of chunk `chunk` (8 elements) of row `row`, in elements.
__device__ __forceinline__ int place(int row, int chunk) {
  return (row * (kStep / 8) + (chunk ^ (row & 7))) * 8;
}

// Step `depth` of the block whose columns begin at `col`.
template <bool kTransposed, int kRowTiles>
__device__ __forceinline__ void fetch(const PackedArguments& p, int64_t col, int64_t depth,
                                      PackedStage<kRowTiles>& stage) {
  const int thread = static_cast<int>(threadIdx.x);
  {
    const int r = thread / 2, chunk = thread % 2;
    const int64_t row = (kTransposed ? depth : col) + r, element = (kTransposed ? col : depth) + chunk * 32;
    const bool there = row < p.weight_rows && element < p.weight.cols;  // cols % 32 == 0: the whole chunk or nothing
    const uint8_t* from = p.weight.packed + (there ? (row * p.weight.cols + element) / 2 : 0);
    ptx::cp_async_16(ptx::shared_address(stage.weight + row_place<kTransposed>(r) + chunk * 16), from, there ? 16 : 0);
  }
#pragma unroll
  for (int i = 0; i < kRowTiles; ++i) {
    const int index = thread + i * kThreads, row = index / 8, chunk = index % 8;
    const int64_t element = depth + chunk * 8, left = row < p.rows ? p.depth - element : 0;
    const int count = static_cast<int>(max(int64_t{0}, min(left, int64_t{8})));
    const uint16_t* from = p.x + (count > 0 ? row * p.stride + element : 0);
    uint16_t* to = stage.x + place(row, chunk);
    if (p.x_aligned) {
      ptx::cp_async_16(ptx::shared_address(to), from, static_cast<uint32_t>(count) * 2);
      continue;
    }
    uint32_t pair[4];
#pragma unroll
    for (int e = 0; e < 8; e += 2) {
      pair[e / 2] = (e < count ? uint32_t{from[e]} : 0) | (e + 1 < count ? uint32_t{from[e + 1]} : 0) << 16;
    }
    *reinterpret_cast<uint4*>(to) = make_uint4(pair[0], pair[1], pair[2], pair[3]);
  }
}

// The scale of an element of W; 0 outside.
__device__ __forceinline__ float scale_at(const PackedArguments& p, int64_t row, int64_t element) {
  if (row >= p.weight_rows || element >= p.weight.cols) return 0.0f;
  return p.weight.scales[(row * p.weight.cols + element) >> p.weight.block_shift];
}

template <bool kF16>
__device__ __forceinline__ uint32_t pack(float low, float high) {
  return kF16 ? ptx::pack_f16(low, high) : ptx::pack_bf16(low, high);
}

// The operand registers of a step, [tile][2 * mma + operand], from the stage and the scales of the two tiles' rows.
template <bool kF16>
__device__ __forceinline__ void decode_rows(const uint8_t* weight, const float* code, const float (&scale)[kColTiles],
                                            uint32_t (&to)[kColTiles][8]) {
  const int lane = lane_index(), g = lane / 4, c = lane % 4;
#pragma unroll
  for (int tile = 0; tile < kColTiles; ++tile) {
    const int row = warp_index() * kWarpCols + tile * 8 + g;
    const uint2 packed = *reinterpret_cast<const uint2*>(weight + row_place<false>(row) + c * 8);
#pragma unroll
    for (int byte = 0; byte < 8; ++byte) {
      const uint32_t word = byte < 4 ? packed.x : packed.y;
      to[tile][byte] = pack<kF16>(__fmul_rn(code[nibble_of(word, byte % 4 * 2)], scale[tile]),
                                  __fmul_rn(code[nibble_of(word, byte % 4 * 2 + 1)], scale[tile]));
    }
  }
}

// The same where depth runs down the rows of W; scales: of the step, [kBlocks][...].
template <bool kF16>
__device__ __forceinline__ void decode_columns(const uint8_t* weight, const float* code,
                                               const float (*scales)[kStep + kStep / 16 * 4],
                                               uint32_t (&to)[kColTiles][8]) {
  const int lane = lane_index(), g = lane / 4, c = lane % 4, warp = warp_index();
  const float* own = scales[warp * kWarpCols / 32] + c * 20;
#pragma unroll
  for (int four = 0; four < 4; ++four) {
    const float4 s = *reinterpret_cast<const float4*>(own + four * 4);
    uint32_t byte[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) byte[i] = weight[row_place<true>(c * 16 + four * 4 + i) + warp * kWarpCols / 2 + g];
#pragma unroll
    for (int tile = 0; tile < kColTiles; ++tile) {
      float value[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) value[i] = code[tile == 0 ? byte[i] >> 4 : byte[i] & 15u];
      to[tile][four * 2] = pack<kF16>(__fmul_rn(value[0], s.x), __fmul_rn(value[1], s.y));
      to[tile][four * 2 + 1] = pack<kF16>(__fmul_rn(value[2], s.z), __fmul_rn(value[3], s.w));
    }
  }
}

template <bool kF16, bool kTransposed, int kRowTiles>
__global__ void __launch_bounds__(kThreads, 3) packed_product(const __grid_constant__ PackedArguments p) {
  auto& memory = *reinterpret_cast<PackedMemory<kRowTiles>*>(LK_SHARED_MEMORY());
  const int warp = warp_index(), lane = lane_index(), g = lane / 4, c = lane % 4;
  const int64_t col = int64_t{blockIdx.x} * kCols;
  const int64_t begin = blockIdx.y * p.slice, end = min(p.depth, begin + p.slice);
  const int64_t steps = end > begin ? (end - begin + kStep - 1) / kStep : 0;
  if (threadIdx.x < 16) memory.code[threadIdx.x] = p.weight.book.value[threadIdx.x];

  // Not transposed: the scale of this lane's elements of a step in row g of a tile.
  const auto row_scale = [&](int tile, int64_t step) {
    return scale_at(p, col + warp * kWarpCols + tile * 8 + g, begin + step * kStep + c * 16);
  };
  // Transposed: the scale of a step that this thread brings to shared memory, and its place.
  const int scale_row = static_cast<int>(threadIdx.x) / kBlocks, scale_block = static_cast<int>(threadIdx.x) % kBlocks;
  const auto column_scale = [&](int64_t step) {
    return scale_at(p, begin + step * kStep + scale_row, col + scale_block * 32);
  };
  const auto put_scale = [&](int64_t step, float value) {
    memory.scales[step & 1][scale_block][scale_row + scale_row / 16 * 4] = value;
  };
  const auto fetch_step = [&](int64_t step) {
    if (step < steps) fetch<kTransposed>(p, col, begin + step * kStep, memory.stage[step % kStages]);
    ptx::cp_async_commit();
  };

  float sums[kRowTiles][kColTiles][4] = {};
  float scale[kColTiles];
  if constexpr (kTransposed) {
    put_scale(0, column_scale(0));
  } else {
#pragma unroll
    for (int tile = 0; tile < kColTiles; ++tile) scale[tile] = row_scale(tile, 0);
  }
#pragma unroll 1
  for (int64_t step = 1 - kStages; step < steps; ++step) {  // the first kStages - 1 rounds only fetch
    if (step >= 0) {
      ptx::cp_async_wait<kStages - 2>();
      __syncthreads();  // the stage has arrived for all, and nobody reads the one that is fetched into next
    }
    fetch_step(step + kStages - 1);
    if (step < 0) continue;
    const PackedStage<kRowTiles>& stage = memory.stage[step % kStages];
    uint32_t weights[kColTiles][8];
    float next[kColTiles];  // scales of the next step, on their way while this one is multiplied
    if constexpr (kTransposed) {
      next[0] = column_scale(step + 1);
      decode_columns<kF16>(stage.weight, memory.code, memory.scales[step & 1], weights);
    } else {
#pragma unroll
      for (int tile = 0; tile < kColTiles; ++tile) next[tile] = row_scale(tile, step + 1);
      decode_rows<kF16>(stage.weight, memory.code, scale, weights);
    }
#pragma unroll
    for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = row_tile * 16 + g, chunk = c * 2 + half;
        const uint4 upper = *reinterpret_cast<const uint4*>(stage.x + place(row, chunk));
        const uint4 lower = *reinterpret_cast<const uint4*>(stage.x + place(row + 8, chunk));
        const uint32_t first[4] = {upper.x, lower.x, upper.y, lower.y};
        const uint32_t second[4] = {upper.z, lower.z, upper.w, lower.w};
#pragma unroll
        for (int tile = 0; tile < kColTiles; ++tile) {
          const uint32_t* w = weights[tile] + half * 4;
          if constexpr (kF16) {
            ptx::mma_f16(sums[row_tile][tile], first, w[0], w[1]);
            ptx::mma_f16(sums[row_tile][tile], second, w[2], w[3]);
          } else {
            ptx::mma_bf16(sums[row_tile][tile], first, w[0], w[1]);
            ptx::mma_bf16(sums[row_tile][tile], second, w[2], w[3]);
          }
        }
      }
    }
    if constexpr (kTransposed) {
      put_scale(step + 1, next[0]);  // the other buffer, which nobody reads any more
    } else {
#pragma unroll
      for (int tile = 0; tile < kColTiles; ++tile) scale[tile] = next[tile];
    }
  }
  ptx::cp_async_wait<0>();
  __syncthreads();
#pragma unroll
  for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
#pragma unroll
    for (int tile = 0; tile < kColTiles; ++tile) {
      const float(&d)[4] = sums[row_tile][tile];
      // Columns 2 c and 2 c + 1 of the tile, which are 4 c + tile and 4 c + 2 + tile of the warp where transposed.
      float* to = &memory.sums[row_tile * 16 + g][warp * kWarpCols + (kTransposed ? c * 4 + tile : tile * 8 + c * 2)];
      constexpr int kNext = kTransposed ? 2 : 1, kLower = 8 * (kCols + 8);
      to[0] = d[0];
      to[kNext] = d[1];
      to[kLower] = d[2];
      to[kLower + kNext] = d[3];
    }
  }
  __syncthreads();
  const Output& out = p.epilogue.out;
#pragma unroll 1
  for (int element = static_cast<int>(threadIdx.x); element < kRowTiles * 16 * kCols; element += kThreads) {
    const int64_t i = element / kCols, j = col + element % kCols;
    if (i >= out.rows || j >= out.cols) continue;
    const float sum = memory.sums[i][element % kCols];
    if (p.partials != nullptr) {
      p.partials[(blockIdx.y * out.rows + i) * out.cols + j] = sum;
    } else {
      p.epilogue.store(i, j, sum);
    }
  }
}

template <bool kF16, bool kTransposed>
void start(CudaDevice& device, const PackedArguments& arguments, const PackedChoice& choice) {
  const dim3 grid(static_cast<unsigned>(ceil_div(arguments.epilogue.out.cols, kCols)),
                  static_cast<unsigned>(choice.splits));
  switch (choice.row_tiles) {
    case 1:
      return launch(device, packed_product<kF16, kTransposed, 1>, grid, dim3(kThreads), sizeof(PackedMemory<1>),
                    arguments);
    case 2:
      return launch(device, packed_product<kF16, kTransposed, 2>, grid, dim3(kThreads), sizeof(PackedMemory<2>),
                    arguments);
    default:
      return launch(device, packed_product<kF16, kTransposed, 4>, grid, dim3(kThreads), sizeof(PackedMemory<4>),
                    arguments);
  }
}

}  // namespace

bool packed_can(const lk_tensor& x, const lk_weight& weight) {
  return x.dtype != LK_F32 && is_4bit(weight) && x.rows <= kPackedRows && weight.cols % 32 == 0 &&
         weight.data % 16 == 0;
}

void multiply_packed(CudaDevice& device, const lk_tensor& x, const lk_weight& weight, bool transposed,
                     const Product& product, const PackedChoice& choice, float* partials) {
  const Output& out = product.epilogue.out;
  // An adapter is added by the pass over partial sums, a thread for an element, where these fit.
  const bool fits = out.rows * out.cols * int64_t{sizeof(float)} <= kMaxPartialBytes;
  const bool by_partials = choice.splits > 1 || (product.adapter.s.data != 0 && fits);
  const PackedArguments arguments{at_address<const uint16_t>(x.data),
                                  x.rows,
                                  x.row_stride,
                                  x.data % 16 == 0 && x.row_stride % 8 == 0,
                                  FourBitMatrix(weight),
                                  weight.rows,
                                  x.cols,
                                  ceil_div(ceil_div(x.cols, choice.splits), kStep) * kStep,
                                  by_partials ? partials : nullptr,
                                  by_partials ? product.epilogue : with_adapter(product)};
  if (x.dtype == LK_F16) {
    transposed ? start<true, true>(device, arguments, choice) : start<true, false>(device, arguments, choice);
  } else {
    transposed ? start<false, true>(device, arguments, choice) : start<false, false>(device, arguments, choice);
  }
  if (by_partials) add_splits(device, with_adapter(product), partials, choice.splits);
}

}  // namespace lk::cuda
