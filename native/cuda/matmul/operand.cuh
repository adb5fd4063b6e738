// What products read and write: matrices in any storage, seen as F32, and the LoRA term that rides on a product. All of
// them are arguments of kernels.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "common/format4.h"
#include "common/philox.h"
#include "cuda/convert.cuh"
#include "cuda/format4.cuh"
#include "lora_kernels.h"

namespace lk::cuda {

inline constexpr int kRun = 8;  // neighbouring elements that a thread reads at once: they share one block but for tails

// mask.factor(row, column) with its words in registers: an index that is not constant would put them into memory.
__device__ __forceinline__ float dropout_factor(const DropoutMask& mask, int64_t row, int64_t column) {
  const Philox4 words = mask.words(row, column / 4);
  const uint32_t low = column & 1 ? words.word[1] : words.word[0], high = column & 1 ? words.word[3] : words.word[2];
  return (column & 2 ? high : low) >= mask.threshold ? mask.scale : 0.0f;
}

// A row-major matrix [rows, cols], dense or in 4 bits, with or without dropout: one side of a product.
struct Operand {
  // What stands for the 4-bit weight of a dense matrix.
  static lk_weight no_4bit() {
    lk_weight none{};
    none.block_size = kMinBlockSize;
    return none;
  }
  explicit Operand(const lk_tensor& t, const DropoutMask& dropout = {}, int64_t first = 0)
      : rows(t.rows), cols(t.cols), dense(t), four_bit(no_4bit()), is_4bit(false), mask(dropout), first_row(first) {}
  explicit Operand(const lk_weight& w)
      : rows(w.rows),
        cols(w.cols),
        dense(lk_tensor{w.data, w.rows, w.cols, w.row_stride, w.dtype, 0}),
        four_bit(lk::is_4bit(w) ? w : no_4bit()),
        is_4bit(lk::is_4bit(w)),
        mask{},
        first_row(0) {}

  // to[i] = element (row, col + i), 0 outside the matrix. code: the code book in shared memory (see load_code_book)
  __device__ __forceinline__ void load(int64_t row, int64_t col, const float* code, float (&to)[kRun]) const {
    const int64_t count = row < rows ? cols - col : 0;
    if (count <= 0) {
#pragma unroll
      for (int i = 0; i < kRun; ++i) to[i] = 0.0f;
      return;
    }
    if (is_4bit) return four_bit.load<kRun>(row, col, count, code, to);
    dense.load<kRun>(row, col, count, to);
    if (mask.active()) apply_mask(row, col, to);
  }

  // col: a multiple of 4
  __device__ __forceinline__ void apply_mask(int64_t row, int64_t col, float (&values)[kRun]) const {
#pragma unroll
    for (int group = 0; group < kRun / 4; ++group) {
      const Philox4 words = mask.words(first_row + row, col / 4 + group);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        values[group * 4 + i] *= words.word[i] >= mask.threshold ? mask.scale : 0.0f;
      }
    }
  }

  int64_t rows, cols;
  AnyMatrix dense;
  FourBitMatrix four_bit;
  bool is_4bit;
  DropoutMask mask;   // of the whole x ...
  int64_t first_row;  // ... of which this matrix starts at this row
};

// Brings the code book of `operand` to `code`, shared memory for 16 floats; visible after the next __syncthreads().
__device__ __forceinline__ void load_code_book(const Operand& operand, float* code) {
  if (threadIdx.x < 16) code[threadIdx.x] = operand.four_bit.book.value[threadIdx.x];
}

// Where a product goes: element (i, j), in either order of memory.
struct Output {
  // Element (i, j) is (i, j) of t, or (j, i) where `transposed`.
  explicit Output(const lk_tensor& t, bool transposed = false)
      : rows(transposed ? t.cols : t.rows),
        cols(transposed ? t.rows : t.cols),
        row_step(transposed ? 1 : t.row_stride),
        col_step(transposed ? t.row_stride : 1),
        matrix(t) {}

  __device__ __forceinline__ float load(int64_t i, int64_t j) const {
    float value[1];
    matrix.load<1>(0, i * row_step + j * col_step, 1, value);
    return value[0];
  }
  __device__ __forceinline__ void store(int64_t i, int64_t j, float value) const {
    const float values[1] = {value};
    matrix.store<1>(0, i * row_step + j * col_step, 1, values);
  }

  int64_t rows, cols, row_step, col_step;
  AnyMatrix matrix;
};

// The LoRA term of a product: out (i, j) gets mask(first_row + i, j) * sum over r of s (i, r) * t (r, j).
struct Adapter {
  lk_tensor s;  // F32 [rows of out, rank]; data 0: no adapter
  lk_tensor t;  // B [columns of out, rank], or A [rank, columns of out] where `by_column`
  bool by_column;
  DropoutMask mask;  // not active: no mask
  int64_t first_row;
};

// The same, element by element.
struct AdapterTerm {
  explicit AdapterTerm(const Adapter& adapter)
      : s(at_address<const float>(adapter.s.data)),
        rank(adapter.s.cols),
        t(adapter.t),
        by_column(adapter.by_column),
        mask(adapter.mask),
        first_row(adapter.first_row) {}

  __device__ __forceinline__ float factor(int64_t r, int64_t j) const {
    float value[1];
    t.load<1>(by_column ? r : j, by_column ? j : r, 1, value);
    return value[0];
  }
  __device__ __forceinline__ float value(int64_t i, int64_t j) const {
    float sum = 0.0f;
    for (int64_t r = 0; r < rank; ++r) sum += s[i * rank + r] * factor(r, j);
    return mask.active() ? sum * dropout_factor(mask, first_row + i, j) : sum;
  }

  const float* s;  // null: no adapter
  int64_t rank;
  AnyMatrix t;
  bool by_column;
  DropoutMask mask;
  int64_t first_row;
};

// What becomes of the sums: out = scale * (adapter + sum) + bias, or out += that.
struct Epilogue {
  Epilogue() : Epilogue(Output(lk_tensor{})) {}
  explicit Epilogue(const Output& output)
      : out(output), scale(1.0f), bias(lk_tensor{}), accumulate(false), adapter(Adapter{}) {}

  __device__ __forceinline__ void store(int64_t i, int64_t j, float sum) const {
    if (adapter.s != nullptr) sum += adapter.value(i, j);
    float value = scale * sum;
    if (bias.data != 0) {
      float b[1];
      bias.load<1>(0, j, 1, b);
      value += b[0];
    }
    if (accumulate) value += out.load(i, j);
    out.store(i, j, value);
  }

  Output out;
  float scale;
  AnyMatrix bias;  // data 0: none
  bool accumulate;
  AdapterTerm adapter;
};

}  // namespace lk::cuda
