// The product of a few rows of any dtype with a matrix in any storage, on the ordinary units: the matrix is read once, where
// it lies, and no tile is filled with rows that are not there.
//
//   few_rows_lines    right lines are rows of its matrix (x * W^T): a warp owns a line and goes along it, kRun elements a
//                     lane; the lanes' sums are added by halves
//   few_rows_columns  right lines are columns (dy * W): a lane owns kRun columns, the warps of a block take the rows of a
//                     slice of depth in turn, and their sums are added warp after warp
//
// Error of an element: that of an F32 sum over depth (kSumError of the native tests), in shorter partial sums.
#include "cuda/block.cuh"
#include "cuda/launch.cuh"
#include "cuda/matmul/product.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarpLanes;
constexpr int kWarpColumns = kWarpLanes * kRun;

struct FewRowsArguments {
  Operand left, right;
  int64_t slice;    // columns: depth of a split
  float* partials;  // null: one split
  Epilogue epilogue;
};

struct CodeMemory {
  float code[16];
};

template <int kRows>
__global__ void __launch_bounds__(kThreads) few_rows_lines(const __grid_constant__ FewRowsArguments p) {
  float* code = reinterpret_cast<CodeMemory*>(LK_SHARED_MEMORY())->code;
  load_code_book(p.right, code);
  __syncthreads();
  const int64_t line = int64_t{blockIdx.x} * kWarps + warp_index();
  if (line >= p.right.rows) return;
  float sums[kRows] = {};
  for (int64_t d = lane_index() * kRun; d < p.right.cols; d += kWarpColumns) {
    float right[kRun];
    p.right.load(line, d, code, right);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      float left[kRun];
      p.left.load(i, d, code, left);
#pragma unroll
      for (int e = 0; e < kRun; ++e) sums[i] += left[e] * right[e];
    }
  }
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    const float sum = warp_reduce(sums[i], Add{});
    if (lane_index() == i && i < p.left.rows) p.epilogue.store(i, line, sum);
  }
}

template <int kRows>
struct ColumnsMemory {
  float sums[kWarps][kRows][kWarpColumns];
  float code[16];
};

template <int kRows>
__global__ void __launch_bounds__(kThreads, 2) few_rows_columns(const __grid_constant__ FewRowsArguments p) {
  auto& memory = *reinterpret_cast<ColumnsMemory<kRows>*>(LK_SHARED_MEMORY());
  load_code_book(p.right, memory.code);
  __syncthreads();
  const int64_t column = int64_t{blockIdx.x} * kWarpColumns;
  const int64_t begin = blockIdx.y * p.slice, end = min(p.right.rows, begin + p.slice);
  const int warp = warp_index(), own = lane_index() * kRun;
  float sums[kRows][kRun] = {};
  if (column + own < p.right.cols) {
    for (int64_t d = begin + warp; d < end; d += kWarps) {
      float right[kRun];
      p.right.load(d, column + own, memory.code, right);
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        float left[1] = {0.0f};
        if (i < p.left.rows) p.left.dense.load<1>(i, d, 1, left);
#pragma unroll
        for (int e = 0; e < kRun; ++e) sums[i][e] += left[0] * right[e];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int e = 0; e < kRun; ++e) memory.sums[warp][i][own + e] = sums[i][e];
  }
  __syncthreads();
  const Output& out = p.epilogue.out;
  const int64_t j = column + threadIdx.x;
  if (j >= out.cols) return;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    if (i >= out.rows) return;
    float sum = memory.sums[0][i][threadIdx.x];
    for (int w = 1; w < kWarps; ++w) sum += memory.sums[w][i][threadIdx.x];
    if (p.partials != nullptr) {
      p.partials[(blockIdx.y * out.rows + i) * out.cols + j] = sum;
    } else {
      p.epilogue.store(i, j, sum);
    }
  }
}
static_assert(kWarpColumns == kThreads, "a thread adds up one column");

template <int kRows>
void launch_rows(CudaDevice& device, const Product& product, const FewRowsArguments& arguments, int64_t splits) {
  if (!product.right.transposed) {
    const dim3 grid(static_cast<unsigned>(ceil_div(arguments.right.rows, kWarps)));
    launch(device, few_rows_lines<kRows>, grid, dim3(kThreads), sizeof(CodeMemory), arguments);
    return;
  }
  const dim3 grid(static_cast<unsigned>(ceil_div(arguments.right.cols, kWarpColumns)), static_cast<unsigned>(splits));
  launch(device, few_rows_columns<kRows>, grid, dim3(kThreads), sizeof(ColumnsMemory<kRows>), arguments);
}

}  // namespace

void multiply_few_rows(CudaDevice& device, const Product& product, int64_t splits, float* partials) {
  const bool split = splits > 1;
  const FewRowsArguments arguments{product.left.matrix, product.right.matrix, ceil_div(product.right.depth(), splits),
                                   split ? partials : nullptr, split ? product.epilogue : with_adapter(product)};
  if (product.left.matrix.rows == 1) {
    launch_rows<1>(device, product, arguments, splits);
  } else {
    launch_rows<kFewRows>(device, product, arguments, splits);
  }
  if (split) add_splits(device, with_adapter(product), partials, splits);
}

}  // namespace lk::cuda
