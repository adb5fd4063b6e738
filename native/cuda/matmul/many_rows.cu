// x * W^T and dy * W for many rows of 16-bit activations: the columns of the output go in panels, and each panel of a 4-bit
// weight is dequantised once into the workspace, from where gemm16.cu reads it. A dense weight of the type of the activations
// is read where it lies.
//
//   workspace:  the adapter's left side in BF16 parts [rows, depth] | its right side for a panel | the weight's panel
#include <algorithm>

#include "cuda/matmul/gemm16.h"
#include "cuda/matmul/many_rows.h"

namespace lk::cuda {
namespace {

constexpr int64_t kAlignment = 256;
constexpr int64_t kMaxRank = 256;  // of lora_kernels.h

int64_t aligned_bytes(int64_t elements) {
  return ceil_div(elements * int64_t{sizeof(uint16_t)}, kAlignment) * kAlignment;
}

// A row-major matrix of 16-bit floats in the workspace; rows begin at multiples of 16 bytes.
lk_tensor carve(std::byte*& memory, int64_t rows, int64_t cols, int32_t dtype) {
  const int64_t stride = ceil_div(cols, kRun) * kRun;
  const lk_tensor t{static_cast<lk_address>(reinterpret_cast<uintptr_t>(memory)), rows, cols, stride, dtype, 0};
  memory += aligned_bytes(rows * stride);
  return t;
}

Matrix16 matrix_of(const lk_tensor& t) {
  return {at_address<const uint16_t>(t.data), t.rows, t.cols, t.row_stride};
}

// The columns [first, first + count) of a row-major matrix, or its rows.
lk_tensor part_of(const lk_tensor& t, bool columns, int64_t first, int64_t count) {
  const int64_t bytes = t.dtype == LK_F32 ? 4 : 2;
  lk_tensor part = t;
  part.data += static_cast<lk_address>(first * (columns ? 1 : t.row_stride) * bytes);
  (columns ? part.cols : part.rows) = count;
  return part;
}

int64_t panel_columns(const lk_weight& weight, bool transposed, int64_t rank) {
  const int64_t depth = transposed ? weight.rows : weight.cols, cols = transposed ? weight.cols : weight.rows;
  return choose_panel(depth, cols, is_4bit(weight), rank);
}

}  // namespace

bool many_rows_can(const lk_tensor& left, const lk_weight& weight, bool transposed) {
  if (left.dtype == LK_F32 || (!is_4bit(weight) && weight.dtype != left.dtype)) return false;
  return panel_columns(weight, transposed, kMaxRank) > 0;
}

int64_t many_rows_bytes_of_row(int64_t rank) {
  return ceil_div(kMaxSplitParts * rank, kRun) * kRun * int64_t{sizeof(uint16_t)};
}

int64_t many_rows_bytes(const lk_tensor& left, const lk_weight& weight, bool transposed, int64_t rank) {
  const int64_t depth = transposed ? weight.rows : weight.cols, panel = panel_columns(weight, transposed, rank);
  int64_t bytes = is_4bit(weight) ? aligned_bytes(panel * (depth + kRun)) : 0;
  if (rank) {
    bytes += aligned_bytes(panel * (kMaxSplitParts * rank + kRun));
    bytes += aligned_bytes(left.rows * many_rows_bytes_of_row(rank) / int64_t{sizeof(uint16_t)});
  }
  return bytes;
}

void multiply_many_rows(CudaDevice& device, const lk_tensor& left, const lk_weight& weight, bool transposed,
                        const lk_tensor* bias, const Adapter& adapter, const lk_tensor& out, std::byte* memory) {
  const int64_t depth = transposed ? weight.rows : weight.cols;
  const bool with_adapter = adapter.s.data != 0;
  const int64_t rank = with_adapter ? adapter.s.cols : 0;
  const int32_t parts = with_adapter ? split_parts(adapter.t.dtype) : 0;
  const int64_t panel = panel_columns(weight, transposed, rank);
  Product16 product{};
  product.main.left = matrix_of(left);
  product.right_columns = transposed;
  product.f16 = left.dtype == LK_F16;
  if (with_adapter) {
    const lk_tensor s = carve(memory, adapter.s.rows, parts * rank, LK_BF16);
    split_matrix(device, adapter.s, false, parts, false, s);
    product.adapter.left = matrix_of(s);
    product.mask = adapter.mask;
    product.mask_row = adapter.first_row;
  }
  for (int64_t first = 0; first < out.cols; first += panel) {
    const int64_t count = std::min(panel, out.cols - first);
    std::byte* free = memory;
    if (with_adapter) {
      const lk_tensor part = part_of(adapter.t, transposed, first, count);
      const lk_tensor t =
          transposed ? carve(free, parts * rank, count, LK_BF16) : carve(free, count, parts * rank, LK_BF16);
      split_matrix(device, part, true, parts, transposed, t);
      product.adapter.right = matrix_of(t);
    }
    if (is_4bit(weight)) {
      const lk_tensor w = transposed ? carve(free, depth, count, left.dtype) : carve(free, count, depth, left.dtype);
      decode_panel(device, weight, transposed ? 0 : first, transposed ? first : 0, w);
      product.main.right = matrix_of(w);
    } else {
      const lk_tensor dense{weight.data, weight.rows, weight.cols, weight.row_stride, weight.dtype, 0};
      product.main.right = matrix_of(part_of(dense, transposed, first, count));
    }
    product.mask_col = first;
    product.epilogue = Epilogue(Output(part_of(out, true, first, count)));
    if (bias) product.epilogue.bias = AnyMatrix(part_of(*bias, true, first, count));
    multiply_16(device, product);
  }
}

void add_token_product_16(CudaDevice& device, const lk_tensor& left, const lk_tensor& right, const lk_tensor& out) {
  if (out.rows == 0 || out.cols == 0) return;
  Product16 product{};
  product.main = {matrix_of(left), matrix_of(right)};
  product.left_columns = product.right_columns = true;
  product.f16 = left.dtype == LK_F16;
  product.epilogue = Epilogue(Output(out));
  product.epilogue.accumulate = true;
  multiply_16(device, product);
}

}  // namespace lk::cuda
