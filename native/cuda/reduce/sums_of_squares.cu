// sums_of_squares: pieces of all tensors, a block each, form one list; a block for each tensor then adds up its pieces. All
// sums are in F64 and in an order that is a function of the shapes alone. One copy to the host waits for the result.
#include <algorithm>

#include "cuda/backend.h"
#include "cuda/block.cuh"
#include "cuda/convert.cuh"
#include "cuda/launch.cuh"
#include "cuda/reduce/reduce.h"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256, kWidth = 4;
constexpr int64_t kPiece = 1 << 15;

// Some tensors of a call, as many as the arguments of a launch hold.
struct Batch {
  static constexpr int kTensors = 48;

  struct Tensor {
    AnyMatrix values;
    int64_t cols, pieces_in_row;
  };
  // tensors[i] has pieces [first_piece[i], first_piece[i + 1]) of the whole call
  Tensor tensors[kTensors];
  int64_t first_piece[kTensors + 1];
  int count = 0;
};

__global__ void __launch_bounds__(kThreads) square_pieces_kernel(Batch batch, double* piece_sums) {
  auto* scratch = reinterpret_cast<double*>(LK_SHARED_MEMORY());
  const int64_t piece = batch.first_piece[0] + blockIdx.x;
  int i = 0;
  while (piece >= batch.first_piece[i + 1]) ++i;
  const Batch::Tensor& t = batch.tensors[i];
  const int64_t index = piece - batch.first_piece[i], row = index / t.pieces_in_row;
  const int64_t first = index % t.pieces_in_row * kPiece;
  const int64_t end = first + kPiece < t.cols ? first + kPiece : t.cols;
  double sum = 0.0;
  for (int64_t col = first + threadIdx.x * kWidth; col < end; col += kThreads * kWidth) {
    float v[kWidth];
    t.values.load<kWidth>(row, col, end - col, v);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum = fma(static_cast<double>(v[j]), static_cast<double>(v[j]), sum);
  }
  sum = block_reduce(sum, Add{}, scratch);
  if (threadIdx.x == 0) piece_sums[piece] = sum;
}

__global__ void __launch_bounds__(kThreads) add_pieces_kernel(Batch batch, const double* piece_sums, double* sums) {
  auto* scratch = reinterpret_cast<double*>(LK_SHARED_MEMORY());
  double sum = 0.0;
  for (int64_t piece = batch.first_piece[blockIdx.x] + threadIdx.x; piece < batch.first_piece[blockIdx.x + 1];
       piece += kThreads) {
    sum += piece_sums[piece];
  }
  sum = block_reduce(sum, Add{}, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// Rows of a tensor that are one run in memory: a matrix without gaps is one long row.
lk_tensor longest_rows(const lk_tensor& t) {
  if (t.row_stride != t.cols) return t;
  lk_tensor row = t;
  row.rows = t.rows == 0 || t.cols == 0 ? 0 : 1;
  row.cols = row.row_stride = t.rows * t.cols;
  return row;
}

int64_t pieces_of(const lk_tensor& t) {
  const lk_tensor rows = longest_rows(t);
  return rows.rows * ceil_div(rows.cols, kPiece);
}

}  // namespace

void sums_of_squares(Device& device, const lk_tensor* tensors, int64_t count, double* sums) {
  int64_t pieces = 0;
  for (int64_t i = 0; i < count; ++i) pieces += pieces_of(tensors[i]);
  const Workspace memory(device, static_cast<size_t>(pieces + count) * sizeof(double));
  double *piece_sums = reinterpret_cast<double*>(memory.data()), *device_sums = piece_sums + pieces;
  constexpr size_t kScratch = kThreads / kWarpLanes * sizeof(double);
  int64_t piece = 0;
  for (int64_t first = 0; first < count; first += Batch::kTensors) {
    Batch batch{};
    batch.count = static_cast<int>(std::min<int64_t>(Batch::kTensors, count - first));
    batch.first_piece[0] = piece;
    for (int i = 0; i < batch.count; ++i) {
      const lk_tensor t = longest_rows(tensors[first + i]);
      batch.tensors[i] = {AnyMatrix(t), t.cols, std::max<int64_t>(1, ceil_div(t.cols, kPiece))};
      piece += pieces_of(t);
      batch.first_piece[i + 1] = piece;
    }
    if (piece > batch.first_piece[0]) {
      launch(device, square_pieces_kernel, dim3(static_cast<unsigned>(piece - batch.first_piece[0])), dim3(kThreads),
             kScratch, batch, piece_sums);
    }
    launch(device, add_pieces_kernel, dim3(static_cast<unsigned>(batch.count)), dim3(kThreads), kScratch, batch,
           static_cast<const double*>(piece_sums), device_sums + first);
  }
  device.copy_to_host(sums, device_sums, static_cast<size_t>(count) * sizeof(double));
}

void install_reduce(KernelTable& table) {
  table.transformer.column_sums = column_sums;
  table.transformer.scale_columns = scale_columns;
  table.transformer.sums_of_squares = sums_of_squares;
}

}  // namespace lk::cuda
