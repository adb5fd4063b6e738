// x * W^T for at most 64 rows of 16-bit activations and a weight in 4 bits, which is read once and never stored in another
// form: tensor cores (mma.sync m16n8k16) take it from registers.
//
// A block of 4 warps owns 64 columns of the output (rows of W), all rows of x, and one slice of depth; a warp owns 16 columns.
// Steps of 64 of depth come through kStages stages of shared memory by asynchronous copies. The sum over depth may run in any
// order, so depth is dealt out to the lanes of an mma in the order that suits the bytes as they lie:
//
//   lane (g, c) = (lane / 4, lane % 4) takes elements 16 c ... 16 c + 15 of a step: 8 bytes of row g of W, 32 of a row of x
//
//   byte of W       0       1       2       3       4       5       6       7
//   elements       0 1     2 3     4 5     6 7     8 9    10 11   12 13   14 15      (+ 16 c)
//   mma, operand   0 b0    0 b1    1 b0    1 b1    2 b0    2 b1    3 b0    3 b1      the same of x: a0, a1 and a2, a3
//
// A byte is a register of an mma: two nibbles, each code * scale in F32, rounded once to the type of x. 16 elements that begin
// at a multiple of 16 share one block. Rows of 64 elements of x lie in 8 chunks of 16 bytes, chunk k at place k ^ (row % 8);
// neither read has a bank conflict.
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
constexpr int kRowBytes = kStep / 2;  // of a row of W in a stage
static_assert(kCols * kRowBytes / 16 == kThreads, "a chunk of W for each thread");

struct PackedArguments {
  const uint16_t* x;
  int64_t rows, stride;  // of x
  bool x_aligned;        // every row begins at a multiple of 16 bytes
  FourBitMatrix weight;
  int64_t weight_rows;
  int64_t slice;    // depth of a split; a multiple of kStep
  float* partials;  // null: one split, stored by the epilogue
  Epilogue epilogue;
};

template <int kRowTiles>
struct PackedStage {
  uint16_t x[kRowTiles * 16 * kStep];
  uint8_t weight[kCols * kRowBytes];
};
template <int kRowTiles>
struct PackedMemory {
  union {
    PackedStage<kRowTiles> stage[kStages];
    float sums[kRowTiles * 16][kCols + 8];
  };
  float code[16];
};

// Place of chunk `chunk` (8 elements) of row `row`, in elements.
__device__ __forceinline__ int place(int row, int chunk) {
  return (row * (kStep / 8) + (chunk ^ (row & 7))) * 8;
}

// Step `depth` of the block whose columns begin at `col`.
template <int kRowTiles>
__device__ __forceinline__ void fetch(const PackedArguments& p, int64_t col, int64_t depth,
                                      PackedStage<kRowTiles>& stage) {
  const int thread = static_cast<int>(threadIdx.x);
  {
    const int row = thread / 2, chunk = thread % 2;
    const int64_t element = depth + chunk * 32;  // cols % 32 == 0: a chunk is whole or not there
    const bool there = col + row < p.weight_rows && element < p.weight.cols;
    const uint8_t* from = p.weight.packed + (there ? ((col + row) * p.weight.cols + element) / 2 : 0);
    ptx::cp_async_16(ptx::shared_address(stage.weight + row * kRowBytes + chunk * 16), from, there ? 16 : 0);
  }
#pragma unroll
  for (int i = 0; i < kRowTiles; ++i) {
    const int index = thread + i * kThreads, row = index / 8, chunk = index % 8;
    const int64_t element = depth + chunk * 8;
    const bool there = row < p.rows && element < p.weight.cols;
    const uint16_t* from = p.x + (there ? row * p.stride + element : 0);
    uint16_t* to = stage.x + place(row, chunk);
    if (p.x_aligned) {
      ptx::cp_async_16(ptx::shared_address(to), from, there ? 16 : 0);
      continue;
    }
    uint32_t pair[4];
#pragma unroll
    for (int e = 0; e < 4; ++e) pair[e] = there ? uint32_t{from[2 * e]} | uint32_t{from[2 * e + 1]} << 16 : 0;
    *reinterpret_cast<uint4*>(to) = make_uint4(pair[0], pair[1], pair[2], pair[3]);
  }
}

template <bool kF16, int kRowTiles>
__global__ void __launch_bounds__(kThreads) packed_product(const __grid_constant__ PackedArguments p) {
  auto& memory = *reinterpret_cast<PackedMemory<kRowTiles>*>(LK_SHARED_MEMORY());
  const int warp = warp_index(), lane = lane_index(), g = lane / 4, c = lane % 4;
  const int64_t col = int64_t{blockIdx.x} * kCols;
  const int64_t begin = blockIdx.y * p.slice, end = min(p.weight.cols, begin + p.slice);
  const int64_t steps = end > begin ? (end - begin + kStep - 1) / kStep : 0;
  if (threadIdx.x < 16) memory.code[threadIdx.x] = p.weight.book.value[threadIdx.x];

  // The scale of this lane's elements of a step; rows and steps that are not there have zeros of x or are not stored.
  const auto scale_of = [&](int tile, int64_t step) {
    const int64_t row = col + warp * kWarpCols + tile * 8 + g, element = begin + step * kStep + c * 16;
    if (row >= p.weight_rows || element >= p.weight.cols) return 0.0f;
    return p.weight.scales[(row * p.weight.cols + element) >> p.weight.block_shift];
  };
  const auto fetch_step = [&](int64_t step) {
    if (step < steps) fetch<kRowTiles>(p, col, begin + step * kStep, memory.stage[step % kStages]);
    ptx::cp_async_commit();
  };

  float sums[kRowTiles][kColTiles][4] = {};
  float scale[kColTiles];
#pragma unroll
  for (int tile = 0; tile < kColTiles; ++tile) scale[tile] = scale_of(tile, 0);
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
#pragma unroll
    for (int tile = 0; tile < kColTiles; ++tile) {
      const uint2 packed =
          *reinterpret_cast<const uint2*>(stage.weight + (warp * kWarpCols + tile * 8 + g) * kRowBytes + c * 8);
      const float s = scale[tile];
      scale[tile] = scale_of(tile, step + 1);  // on its way while this step is multiplied
#pragma unroll
      for (int byte = 0; byte < 8; ++byte) {
        const uint32_t word = byte < 4 ? packed.x : packed.y;
        const float low = __fmul_rn(memory.code[nibble_of(word, byte % 4 * 2)], s);
        const float high = __fmul_rn(memory.code[nibble_of(word, byte % 4 * 2 + 1)], s);
        weights[tile][byte] = kF16 ? ptx::pack_f16(low, high) : ptx::pack_bf16(low, high);
      }
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
  }
  ptx::cp_async_wait<0>();
  __syncthreads();
#pragma unroll
  for (int row_tile = 0; row_tile < kRowTiles; ++row_tile) {
#pragma unroll
    for (int tile = 0; tile < kColTiles; ++tile) {
      const int row = row_tile * 16 + g, to = warp * kWarpCols + tile * 8 + c * 2;
      const float(&d)[4] = sums[row_tile][tile];
      *reinterpret_cast<float2*>(&memory.sums[row][to]) = make_float2(d[0], d[1]);
      *reinterpret_cast<float2*>(&memory.sums[row + 8][to]) = make_float2(d[2], d[3]);
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

template <bool kF16, int kRowTiles>
void start(CudaDevice& device, const PackedArguments& arguments, int64_t splits) {
  const dim3 grid(static_cast<unsigned>(ceil_div(arguments.weight_rows, kCols)), static_cast<unsigned>(splits));
  launch(device, packed_product<kF16, kRowTiles>, grid, dim3(kThreads), sizeof(PackedMemory<kRowTiles>), arguments);
}

}  // namespace

bool packed_can(const lk_tensor& x, const lk_weight& weight) {
  return x.dtype != LK_F32 && is_4bit(weight) && x.rows <= kPackedRows && weight.cols % 32 == 0 &&
         weight.data % 16 == 0;
}

void multiply_packed(CudaDevice& device, const lk_tensor& x, const lk_weight& weight, const Product& product,
                     const PackedChoice& choice, float* partials) {
  const ProductShape shape{x.rows, weight.rows, weight.cols};
  // An adapter is added by the pass over partial sums, a thread for an element, where these fit.
  const bool has_adapter = product.adapter.s.data != 0;
  const bool fits = shape.rows * shape.cols * int64_t{sizeof(float)} <= kMaxPartialBytes;
  const bool by_partials = choice.splits > 1 || (has_adapter && fits);
  const PackedArguments arguments{at_address<const uint16_t>(x.data),
                                  x.rows,
                                  x.row_stride,
                                  x.data % 16 == 0 && x.row_stride % 8 == 0,
                                  FourBitMatrix(weight),
                                  weight.rows,
                                  ceil_div(ceil_div(weight.cols, choice.splits), kStep) * kStep,
                                  by_partials ? partials : nullptr,
                                  by_partials ? product.epilogue : with_adapter(product)};
  const bool f16 = x.dtype == LK_F16;
  switch (choice.row_tiles) {
    case 1:
      f16 ? start<true, 1>(device, arguments, choice.splits) : start<false, 1>(device, arguments, choice.splits);
      break;
    case 2:
      f16 ? start<true, 2>(device, arguments, choice.splits) : start<false, 2>(device, arguments, choice.splits);
      break;
    default:
      f16 ? start<true, 4>(device, arguments, choice.splits) : start<false, 4>(device, arguments, choice.splits);
  }
  if (by_partials) add_splits(device, with_adapter(product), partials, choice.splits);
}

}  // namespace lk::cuda
