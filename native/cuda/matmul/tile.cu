// The product of any two matrices in any storage, tile by tile on the ordinary units.
//
// A block of kThreads threads owns kRows x kCols elements of the output and one slice of depth. Step by step of kStep
// elements of depth, both sides come to shared memory as F32, depth-major, whatever they were in memory:
//
//   left  [kStep][kRows + 1]      thread (ty, tx) reads left [d][ty + r * kThreadRows] (the same for a row of threads)
//   right [kStep][kCols + 1]                  and right [d][tx + c * kThreadCols]      (neighbours read neighbours)
//
// and each thread adds kMicroRows x kMicroCols products to its sums. The odd pitch spreads what a thread stores down a
// column over the banks. A LoRA term goes first, as steps of its own on the same sums, and is masked while it stands there
// alone.
//
// Error of an element: that of an F32 sum over depth in ascending order (kSumError of the native tests).
#include <algorithm>

#include "cuda/launch.cuh"
#include "cuda/matmul/product.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kStep = 32;  // depth

struct TileTerm {
  Side left, right;
};

struct TileArguments {
  TileTerm terms[2];  // the adapter's, the product's
  int32_t first_term;
  DropoutMask mask;  // of the adapter's term
  int64_t mask_row;
  int64_t slice;       // depth of a split; a multiple of kStep
  int64_t col_blocks;  // blocks of columns
  float* partials;     // null: one split
  Epilogue epilogue;
};

template <int kRows, int kCols>
struct TileMemory {
  float left[kStep][kRows + 1];
  float right[kStep][kCols + 1];
  float code[16];
};

// kLines lines of `side` from `line`, kStep of depth from `depth`, to memory [kStep][kLines + 1].
template <int kLines>
__device__ __forceinline__ void load_side(const Side& side, int64_t line, int64_t depth, const float* code,
                                          float (*memory)[kLines + 1]) {
  constexpr int kRuns = kLines * kStep / kRun;
  for (int run = static_cast<int>(threadIdx.x); run < kRuns; run += kThreads) {
    const int across = side.transposed ? kLines / kRun : kStep / kRun;  // runs of a row of the matrix
    const int row = run / across, col = run % across * kRun;
    float values[kRun];
    side.matrix.load((side.transposed ? depth : line) + row, (side.transposed ? line : depth) + col, code, values);
    float* to = side.transposed ? &memory[row][col] : &memory[col][row];
    const int step = side.transposed ? 1 : kLines + 1;
#pragma unroll
    for (int i = 0; i < kRun; ++i) to[i * step] = values[i];
  }
}

template <int kRows, int kCols, int kMicroRows, int kMicroCols>
__global__ void __launch_bounds__(kThreads, 2) tile_product(const __grid_constant__ TileArguments p) {
  constexpr int kThreadCols = kCols / kMicroCols, kThreadRows = kRows / kMicroRows;
  static_assert(kThreadCols * kThreadRows == kThreads, "a micro tile for each thread");
  auto& memory = *reinterpret_cast<TileMemory<kRows, kCols>*>(LK_SHARED_MEMORY());
  const int tx = static_cast<int>(threadIdx.x) % kThreadCols, ty = static_cast<int>(threadIdx.x) / kThreadCols;
  const int64_t i0 = blockIdx.x / p.col_blocks * kRows, j0 = blockIdx.x % p.col_blocks * kCols;
  load_code_book(p.terms[1].right.matrix, memory.code);
  float sums[kMicroRows][kMicroCols] = {};
  for (int t = p.first_term; t < 2; ++t) {
    const TileTerm& term = p.terms[t];
    const int64_t depth = term.left.depth();
    const int64_t begin = t == 0 ? 0 : blockIdx.y * p.slice, end = t == 0 ? depth : min(depth, begin + p.slice);
    for (int64_t d0 = begin; d0 < end; d0 += kStep) {
      __syncthreads();  // the last step was read
      load_side<kRows>(term.left, i0, d0, memory.code, memory.left);
      load_side<kCols>(term.right, j0, d0, memory.code, memory.right);
      __syncthreads();
      const int steps = static_cast<int>(min(static_cast<int64_t>(kStep), end - d0));
#pragma unroll 4
      for (int d = 0; d < steps; ++d) {
        float left[kMicroRows], right[kMicroCols];
#pragma unroll
        for (int r = 0; r < kMicroRows; ++r) left[r] = memory.left[d][ty + r * kThreadRows];
#pragma unroll
        for (int c = 0; c < kMicroCols; ++c) right[c] = memory.right[d][tx + c * kThreadCols];
#pragma unroll
        for (int r = 0; r < kMicroRows; ++r) {
#pragma unroll
          for (int c = 0; c < kMicroCols; ++c) sums[r][c] += left[r] * right[c];
        }
      }
    }
    if (t == 0 && p.mask.active()) {
#pragma unroll
      for (int r = 0; r < kMicroRows; ++r) {
#pragma unroll
        for (int c = 0; c < kMicroCols; ++c) {
          sums[r][c] *= dropout_factor(p.mask, p.mask_row + i0 + ty + r * kThreadRows, j0 + tx + c * kThreadCols);
        }
      }
    }
  }
  const Output& out = p.epilogue.out;
#pragma unroll
  for (int r = 0; r < kMicroRows; ++r) {
#pragma unroll
    for (int c = 0; c < kMicroCols; ++c) {
      const int64_t i = i0 + ty + r * kThreadRows, j = j0 + tx + c * kThreadCols;
      if (i >= out.rows || j >= out.cols) continue;
      if (p.partials != nullptr) {
        p.partials[(blockIdx.y * out.rows + i) * out.cols + j] = sums[r][c];
      } else {
        p.epilogue.store(i, j, sums[r][c]);
      }
    }
  }
}

template <int kRows, int kCols, int kMicroRows, int kMicroCols>
void launch_tiles(CudaDevice& device, TileArguments& arguments, int64_t splits) {
  const Output& out = arguments.epilogue.out;
  arguments.col_blocks = ceil_div(out.cols, kCols);
  const dim3 grid(static_cast<unsigned>(arguments.col_blocks * ceil_div(out.rows, kRows)),
                  static_cast<unsigned>(splits));
  launch(device, tile_product<kRows, kCols, kMicroRows, kMicroCols>, grid, dim3(kThreads),
         sizeof(TileMemory<kRows, kCols>), arguments);
}

}  // namespace

void multiply_tiles(CudaDevice& device, const Product& product, const TileChoice& choice, float* partials) {
  const TileTerm main{product.left, product.right};
  TileArguments arguments{{main, main}, 1, {}, 0, 0, 0, nullptr, product.epilogue};
  const bool split = choice.splits > 1;
  if (split) {
    arguments.partials = partials;
  } else if (product.adapter.s.data != 0) {
    const Adapter& adapter = product.adapter;
    arguments.terms[0] = {{Operand(adapter.s), false}, {Operand(adapter.t), adapter.by_column}};
    arguments.first_term = 0;
    arguments.mask = adapter.mask;
    arguments.mask_row = adapter.first_row;
  }
  arguments.slice = ceil_div(ceil_div(product.left.depth(), choice.splits), kStep) * kStep;
  if (choice.narrow) {
    launch_tiles<128, 16, 4, 2>(device, arguments, choice.splits);
  } else {
    launch_tiles<64, 64, 4, 4>(device, arguments, choice.splits);
  }
  if (split) add_splits(device, with_adapter(product), partials, choice.splits);
}

}  // namespace lk::cuda
