// Products of many rows on tensor cores (gemm16.cu), and what brings their operands into the form that these take.
#pragma once

#include "cuda/device.h"
#include "cuda/matmul/product.cuh"

namespace lk::cuda {

// A row-major matrix of 16-bit floats of one type; the type is the product's.
struct Matrix16 {
  const uint16_t* data;
  int64_t rows, cols, stride;
};

// left (i, d) * right (j, d) on tensor cores, summed over d. The sides are stored as [lines, depth] or, where `..._columns`,
// as [depth, lines].
struct Term16 {
  Matrix16 left, right;
};

struct Product16 {
  Term16 main;
  Term16 adapter;                    // BF16 whatever the main type; left.data null: none
  bool left_columns, right_columns;  // of both terms
  bool f16;                          // main is F16, not BF16
  DropoutMask mask;                  // of the adapter's term, where out begins at element ...
  int64_t mask_row, mask_col;        // ... (mask_row, mask_col), mask_col being a multiple of 4
  Epilogue epilogue;
};

void multiply_16(CudaDevice& device, const Product16& product);

// out [rows, cols], BF16 or F16 as `out.dtype` says = the part of `weight` (4 bits) that begins at (row, col), rounded once
void decode_panel(CudaDevice& device, const lk_weight& weight, int64_t row, int64_t col, const lk_tensor& out);

// A matrix as a sum of BF16 parts laid one behind another along depth, so that a product of two of them has the precision of
// 2^-16 and better: with x = hi + lo, the left side is [hi, lo, hi] and the right one [hi, hi, lo], and what is lost is
// lo * lo. Two parts do where the right side is BF16 already.
inline constexpr int32_t kMaxSplitParts = 3;
int32_t split_parts(int32_t right_dtype);
// out: BF16; depth of `source` times the parts. depth_rows: depth runs down the rows of source and out.
void split_matrix(CudaDevice& device, const lk_tensor& source, bool right, int32_t parts, bool depth_rows,
                  const lk_tensor& out);

}  // namespace lk::cuda
