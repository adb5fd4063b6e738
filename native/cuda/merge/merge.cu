// merge, merge_quantized and row_norms: W + sign * scaling * B * A, summed in F32.
//
// The sum over the rank runs in ascending order, is scaled afterwards and then added to the weight: the bits of the CPU
// backend. A block of threads forms a tile of 16 * kRows rows and 64 columns; columns of A and rows of B come through
// shared memory, kRanks of them at a time, and a thread keeps kRows x 4 sums in registers:
//
//                          A [kRanks, 64]   |aaaa|        thread (tx, ty): columns 4 tx ... 4 tx + 3
//   B^T [kRanks, rows]  | b |               +----+                         rows kRows ty ... kRows ty + kRows - 1
//                       | b |               |ssss|
//
// Limit: W's bytes and those of the output, while 2 * rank operations an element take less time than that.
#include <algorithm>
#include <optional>

#include "common/format4.h"
#include "cuda/backend.h"
#include "cuda/block.cuh"
#include "cuda/convert.cuh"
#include "cuda/format4.cuh"
#include "cuda/launch.cuh"
#include "cuda/quantize/quantizer.h"

namespace lk::cuda {
namespace {

constexpr int kSide = 16, kThreads = kSide * kSide;
constexpr int kThreadCols = 4, kTileCols = kSide * kThreadCols;
constexpr int kRanks = 32;

template <int kRows>
struct Shared {
  static constexpr int kTileRows = kSide * kRows;

  alignas(16) float a[kRanks][kTileCols];
  alignas(16) float b[kRanks][kTileRows + 4];  // transposed; padded against bank conflicts of the writes
  float code[16];
};

// The weight as a kernel reads it: rows of four elements, whatever the storage.
struct DenseRows {
  explicit DenseRows(const lk_weight& w)
      : values(lk_tensor{w.data, w.rows, w.cols, w.row_stride, w.dtype, 0}), cols(w.cols) {}
  __device__ __forceinline__ void begin(float*) const {}
  __device__ __forceinline__ void load(int64_t row, int64_t col, const float*, float (&to)[kThreadCols]) const {
    values.load(row, col, cols - col, to);
  }
  AnyMatrix values;
  int64_t cols;
};
struct FourBitRows {
  explicit FourBitRows(const lk_weight& w) : values(w) {}
  __device__ __forceinline__ void begin(float* code) const {
    if (threadIdx.x < 16) code[threadIdx.x] = values.book.value[threadIdx.x];
  }
  __device__ __forceinline__ void load(int64_t row, int64_t col, const float* code, float (&to)[kThreadCols]) const {
    values.load(row, col, values.cols - col, code, to);
  }
  FourBitMatrix values;
};

// What the adapter adds; rank 0: nothing.
struct Delta {
  Delta() : a(lk_tensor{}), b(lk_tensor{}), rank(0), factor(0.0f) {}
  Delta(const lk_lora& lora, float sign) : a(lora.a), b(lora.b), rank(lora.a.rows), factor(sign * lora.scaling) {}
  AnyMatrix a, b;
  int64_t rank;
  float factor;
};

// values[i][j] = merged element (row + i, col + j) of the thread, row = first_row + kRows * ty, col = first_col + 4 * tx; 0
// outside [rows, cols]. All threads must call it.
template <int kRows, typename Rows>
__device__ __forceinline__ void merged_tile(const Rows& weight, const Delta& delta, int64_t rows, int64_t cols,
                                            int64_t first_row, int64_t first_col, Shared<kRows>& shared,
                                            float (&values)[kRows][kThreadCols]) {
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  float sums[kRows][kThreadCols] = {};
  for (int64_t rank = 0; rank < delta.rank; rank += kRanks) {
    const int ranks = static_cast<int>(min(int64_t{kRanks}, delta.rank - rank));
    __syncthreads();  // the tile before is no longer read
    for (int i = static_cast<int>(threadIdx.x); i < kRanks * kTileCols; i += kThreads) {
      const int r = i / kTileCols, j = i % kTileCols;
      if (r < ranks) shared.a[r][j] = first_col + j < cols ? delta.a.at(rank + r, first_col + j) : 0.0f;
    }
    for (int i = static_cast<int>(threadIdx.x); i < kRanks * Shared<kRows>::kTileRows; i += kThreads) {
      const int r = i % kRanks, j = i / kRanks;
      if (r < ranks) shared.b[r][j] = first_row + j < rows ? delta.b.at(first_row + j, rank + r) : 0.0f;
    }
    __syncthreads();
    for (int r = 0; r < ranks; ++r) {
      float a[kThreadCols], b[kRows];
      load_elements(shared.a[r] + kThreadCols * tx, kThreadCols, a);
      load_elements(shared.b[r] + kRows * ty, kRows, b);
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
#pragma unroll
        for (int j = 0; j < kThreadCols; ++j) sums[i][j] = __fmaf_rn(b[i], a[j], sums[i][j]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    const int64_t row = first_row + kRows * ty + i, col = first_col + kThreadCols * tx;
#pragma unroll
    for (float& value : values[i]) value = 0.0f;
    if (row >= rows || col >= cols) continue;
    weight.load(row, col, shared.code, values[i]);
    if (delta.rank == 0) continue;
#pragma unroll
    for (int j = 0; j < kThreadCols; ++j) {
      values[i][j] = __fadd_rn(values[i][j], __fmul_rn(delta.factor, sums[i][j]));
    }
  }
}

// ---- merge -----------------------------------------------------------------------------------------------------

// Tiles that cover rows [row, rows_end) and columns [col, cols_end), row-major.
struct MergeTiles {
  MergeTiles(int64_t row_, int64_t rows_end, int64_t col_, int64_t cols_end, int tile_rows)
      : row(row_), col(col_), tiles_per_row(static_cast<uint32_t>(ceil_div(cols_end - col_, kTileCols))) {
    grid = dim3(static_cast<unsigned>(ceil_div(rows_end - row_, tile_rows) * tiles_per_row));
  }
  int64_t row, col;
  uint32_t tiles_per_row;
  dim3 grid;
};

// Where merged elements go: into a matrix, or, as one flattened run of F32, those of [first, end).
struct Output {
  template <int kCount>
  __device__ __forceinline__ void store(int64_t row, int64_t col, int64_t cols, const float (&values)[kCount]) const {
    if (end == 0) return matrix.store(row, col, cols - col, values);
    const int64_t element = row * cols + col;
    if (element >= first && element + kCount <= end) return matrix.store(0, element - first, cols - col, values);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float one[1] = {values[i]};
      if (col + i < cols && element + i >= first && element + i < end) matrix.store(0, element + i - first, 1, one);
    }
  }
  AnyMatrix matrix;
  int64_t first, end;  // end 0: a matrix
};

constexpr int kMergeRows = 4;

template <typename Rows>
__global__ void __launch_bounds__(kThreads, 2)
    merge_kernel(const __grid_constant__ Rows weight, const Delta delta, int64_t rows, int64_t cols,
                 const MergeTiles tiles, const Output out) {
  auto& shared = *reinterpret_cast<Shared<kMergeRows>*>(LK_SHARED_MEMORY());
  weight.begin(shared.code);
  const int64_t row = tiles.row + int64_t{blockIdx.x / tiles.tiles_per_row} * Shared<kMergeRows>::kTileRows;
  const int64_t col = tiles.col + int64_t{blockIdx.x % tiles.tiles_per_row} * kTileCols;
  float values[kMergeRows][kThreadCols];
  merged_tile(weight, delta, rows, cols, row, col, shared, values);
  const int64_t first_row = row + kMergeRows * (threadIdx.x / kSide),
                first_col = col + kThreadCols * (threadIdx.x % kSide);
#pragma unroll
  for (int i = 0; i < kMergeRows; ++i) {
    if (first_row + i < rows && first_col < cols) out.store(first_row + i, first_col, cols, values[i]);
  }
}

void launch_merge(Device& device, const lk_weight& weight, const Delta& delta, const MergeTiles& tiles,
                  const Output& out) {
  const auto with = [&](const auto& rows) {
    using Rows = std::decay_t<decltype(rows)>;
    launch(device, merge_kernel<Rows>, tiles.grid, dim3(kThreads), sizeof(Shared<kMergeRows>), rows, delta, weight.rows,
           weight.cols, tiles, out);
  };
  if (is_4bit(weight)) {
    with(FourBitRows(weight));
  } else {
    with(DenseRows(weight));
  }
}

void merge(Device& device, const lk_weight& weight, const lk_lora& lora, float sign, const lk_tensor& out) {
  const MergeTiles tiles(0, weight.rows, 0, weight.cols, Shared<kMergeRows>::kTileRows);
  launch_merge(device, weight, Delta(lora, sign), tiles, Output{AnyMatrix(out), 0, 0});
}

// A run of merged elements at a time, so short that it is still in the L2 cache when it is quantised.
void merge_quantized(Device& device, const lk_weight& weight, const lk_lora& lora, float sign, lk_weight& out) {
  constexpr int64_t kRun = int64_t{1} << 21;
  static_assert(kRun % kMaxBlockSize == 0, "whole blocks of any size");
  const int64_t elements = element_count(weight), cols = weight.cols;
  BlockQuantizer quantizer(device, out);
  const Workspace workspace(device, static_cast<size_t>(std::min(elements, kRun)) * sizeof(float));
  const Delta delta(lora, sign);
  for (int64_t first = 0; first < elements; first += kRun) {
    const int64_t end = std::min(elements, first + kRun);
    const int64_t row = first / cols, last_row = (end - 1) / cols;
    const bool in_one_row = row == last_row;
    const MergeTiles tiles(row, last_row + 1, in_one_row ? first % cols : 0, in_one_row ? end - row * cols : cols,
                           Shared<kMergeRows>::kTileRows);
    const lk_address run = reinterpret_cast<uintptr_t>(workspace.data());
    const lk_tensor merged{run, 1, end - first, end - first, LK_F32, 0};
    launch_merge(device, weight, delta, tiles, Output{AnyMatrix(merged), first, end});
    quantizer.quantize(merged, first);
  }
  quantizer.finish();
}

// ---- row_norms -------------------------------------------------------------------------------------------------

constexpr int kNormRows = 1;  // few rows a block: there may be few rows

// Squares and their sums in F64: a thread adds those of its columns in ascending order, then sixteen threads by halves.
template <typename Rows>
__global__ void __launch_bounds__(kThreads, 2)
    row_norms_kernel(const __grid_constant__ Rows weight, const Delta delta, int64_t rows, int64_t cols, float* norms) {
  auto& shared = *reinterpret_cast<Shared<kNormRows>*>(LK_SHARED_MEMORY());
  weight.begin(shared.code);
  __syncthreads();
  const int64_t first_row = int64_t{blockIdx.x} * Shared<kNormRows>::kTileRows;
  double sum = 0.0;
  for (int64_t col = 0; col < cols; col += kTileCols) {
    float values[kNormRows][kThreadCols];
    merged_tile(weight, delta, rows, cols, first_row, col, shared, values);
#pragma unroll
    for (int j = 0; j < kThreadCols; ++j) sum += double{values[0][j]} * values[0][j];
  }
  const float norm = static_cast<float>(sqrt(warp_reduce(sum, Add{}, kSide)));
  const int64_t row = first_row + threadIdx.x / kSide;
  if (threadIdx.x % kSide == 0 && row < rows) norms[row] = norm;
}

void row_norms(Device& device, const lk_weight& weight, const lk_lora* lora, const lk_tensor& out) {
  const Delta delta = lora ? Delta(*lora, 1.0f) : Delta();
  const auto grid = dim3(static_cast<unsigned>(ceil_div(weight.rows, Shared<kNormRows>::kTileRows)));
  const auto with = [&](const auto& rows) {
    using Rows = std::decay_t<decltype(rows)>;
    launch(device, row_norms_kernel<Rows>, grid, dim3(kThreads), sizeof(Shared<kNormRows>), rows, delta, weight.rows,
           weight.cols, at_address<float>(out.data));
  };
  if (is_4bit(weight)) {
    with(FourBitRows(weight));
  } else {
    with(DenseRows(weight));
  }
}

}  // namespace

void install_merge(KernelTable& table) {
  table.merge = merge;
  table.merge_quantized = merge_quantized;
  table.transformer.row_norms = row_norms;
}

}  // namespace lk::cuda
