// Float64 references for the kernel tests, written from the formulas of lora_kernels.h and nothing else: straight
// loops over decoded weights. Every reference comes with its magnitude, the same sum over absolute values, which is
// what rounding errors are measured against.
#pragma once

#include <algorithm>
#include <memory>

#include "common/philox.h"
#include "test/harness.h"

namespace lk::test {

// A weight with memory of its own: random, dense or in 4 bits.
class TestWeight {
 public:
  static TestWeight dense(std::mt19937& generator, int64_t rows, int64_t cols, lk_dtype dtype, int64_t row_stride = 0);
  static TestWeight quantized(std::mt19937& generator, int64_t rows, int64_t cols, lk_format format, int32_t block_size,
                              bool double_quantized);

  lk_weight descriptor() const;
  // W[row, col], rounded to `rounded`.
  double at(int64_t row, int64_t col, lk_dtype rounded = LK_F32) const;
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  bool is_quantized() const { return !dense_; }

 private:
  int64_t rows_ = 0, cols_ = 0;
  std::shared_ptr<Matrix> dense_;  // null: 4 bits
  lk_format format_ = LK_DENSE;
  int32_t block_size_ = 0;
  std::vector<uint8_t> packed_, absmax_codes_;
  std::vector<float> absmax_, nested_absmax_;
  float nested_offset_ = 0;
};

// A result in float64 and the same sums over absolute values.
struct Reference {
  Reference(int64_t rows_, int64_t cols_) : rows(rows_), cols(cols_), value(rows_ * cols_), magnitude(rows_ * cols_) {}

  void add(int64_t row, int64_t col, double v, double m) {
    value[row * cols + col] += v;
    magnitude[row * cols + col] += m;
  }
  double largest_magnitude() const {
    double largest = 0;
    for (double m : magnitude) largest = std::max(largest, m);
    return largest;
  }
  double largest_value() const {
    double largest = 0;
    for (double v : value) largest = std::max(largest, std::fabs(v));
    return largest;
  }

  int64_t rows, cols;
  std::vector<double> value, magnitude;
};

// Rounding errors of an F32 sum against the sum of the absolute values of its terms. The partial sums of K independent
// terms of size t grow like sqrt(k) * t, each is rounded by up to 2^-24 of itself, and these errors add up in
// quadrature to 2^-24 * K * t / sqrt(2): about 2^-24 of the magnitude for any K. 8 of these leave room for the rounded
// code * scale, for two sums one after the other (LoRA), and for the worst of many elements; one wrong term of K =
// 4096 is 30 times as large.
constexpr double kSumError = 0x1p-21;

// Calls check(LK_F32), against the exact weight. With 16-bit activations a kernel may round a dequantised weight to their
// type once (lora_kernels.h): there, a result that fails is checked again against the rounded weight, by check(dtype).
void check_with_weight(const TestWeight& weight, lk_dtype dtype,
                       const std::function<void(lk_dtype rounded_weight)>& check);
// y is the reference, up to kSumError and one rounding to its dtype.
void check_result(const Matrix& y, const Reference& reference, const std::string& what);

// x * W^T + bias (null: none)
Reference reference_matmul(const Matrix& x, const TestWeight& weight, const Matrix* bias, lk_dtype rounded_weight);
// dy * W
Reference reference_matmul_transposed(const Matrix& dy, const TestWeight& weight, lk_dtype rounded_weight);

// What lk_lora says, with memory for its tensors.
struct TestLora {
  TestLora(std::mt19937& generator, int64_t n, int64_t k, int64_t rank, lk_dtype dtype, float scaling, float dropout);

  lk_lora descriptor() const;
  DropoutMask mask() const { return DropoutMask::of(dropout, seed, step); }

  Matrix a, b, grad_a, grad_b;
  float scaling, dropout;
  uint64_t seed = 0x0123456789abcdefull, step = 0xfedcba9876543210ull;
};

// (D ∘ x) * A^T
Reference reference_down(const Matrix& x, const TestLora& lora);
// scaling * S * B^T, added to `y`
void add_reference_lora(const Matrix& x, const TestLora& lora, Reference& y);

struct ReferenceGradients {
  Reference dx, grad_a, grad_b;  // the gradients alone, without what stood there before
};
ReferenceGradients reference_lora_backward(const Matrix& x, const Matrix& dy, const TestWeight& weight,
                                           const TestLora& lora, lk_dtype rounded_weight);

}  // namespace lk::test
