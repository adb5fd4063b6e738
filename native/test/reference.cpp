#include "test/reference.h"

namespace lk::test {

TestWeight TestWeight::dense(std::mt19937& generator, int64_t rows, int64_t cols, lk_dtype dtype, int64_t row_stride) {
  TestWeight w;
  w.rows_ = rows;
  w.cols_ = cols;
  w.dense_ = std::make_shared<Matrix>(Matrix::random(generator, rows, cols, dtype, 0.1f, row_stride));
  return w;
}

TestWeight TestWeight::quantized(std::mt19937& generator, int64_t rows, int64_t cols, lk_format format,
                                 int32_t block_size, bool double_quantized) {
  TestWeight w;
  w.rows_ = rows;
  w.cols_ = cols;
  w.format_ = format;
  w.block_size_ = block_size;
  const int64_t elements = rows * cols, blocks = ceil_div(elements, block_size);
  w.packed_.resize(static_cast<size_t>((elements + 1) / 2));
  for (uint8_t& byte : w.packed_) byte = static_cast<uint8_t>(generator());
  std::uniform_real_distribution<float> uniform(0.05f, 0.2f);
  if (double_quantized) {
    w.absmax_codes_.resize(static_cast<size_t>(blocks));
    for (uint8_t& code : w.absmax_codes_) code = static_cast<uint8_t>(generator());
    w.nested_absmax_.resize(static_cast<size_t>(ceil_div(blocks, kNestedBlockSize)));
    for (float& absmax : w.nested_absmax_) absmax = uniform(generator);
    w.nested_offset_ = 0.21f;
  } else {
    w.absmax_.resize(static_cast<size_t>(blocks));
    for (float& absmax : w.absmax_) absmax = uniform(generator);
  }
  return w;
}

lk_weight TestWeight::descriptor() const {
  lk_weight w{};
  w.rows = rows_;
  w.cols = cols_;
  w.format = format_;
  if (dense_) {
    const lk_tensor t = dense_->tensor();
    w.data = t.data;
    w.row_stride = t.row_stride;
    w.dtype = t.dtype;
    return w;
  }
  w.data = address_of(packed_.data());
  w.block_size = block_size_;
  if (absmax_codes_.empty()) {
    w.absmax = address_of(absmax_.data());
  } else {
    w.absmax_codes = address_of(absmax_codes_.data());
    w.nested_absmax = address_of(nested_absmax_.data());
    w.nested_offset = nested_offset_;
    w.nested_block_size = kNestedBlockSize;
  }
  return w;
}

double TestWeight::at(int64_t row, int64_t col, lk_dtype rounded) const {
  double value;
  if (dense_) {
    value = dense_->at(row, col);
  } else {
    const int64_t element = row * cols_ + col, block = element / block_size_;
    const uint8_t byte = packed_[static_cast<size_t>(element / 2)];
    const int code = element % 2 == 0 ? byte / 16 : byte % 16;
    const float scale =
        absmax_codes_.empty()
            ? absmax_[block]
            : kDynamicMap[absmax_codes_[block]] * nested_absmax_[block / kNestedBlockSize] + nested_offset_;
    value = (format_ == LK_FP4 ? kFp4Code : kNf4Code)[code] * scale;
  }
  if (rounded == LK_F32) return value;
  const float f = static_cast<float>(value);
  return rounded == LK_BF16 ? bf16_to_float(float_to_bf16(f)) : f16_to_float(float_to_f16(f));
}

void check_with_weight(const TestWeight& weight, lk_dtype dtype, const std::function<void(lk_dtype)>& check) {
  try {
    check(LK_F32);
  } catch (const Failure&) {
    if (dtype == LK_F32 || !weight.is_quantized()) throw;
    check(dtype);
  }
}

void check_result(const Matrix& y, const Reference& reference, const std::string& what) {
  const double half_ulp = y.dtype == LK_BF16 ? 0x1p-8 : y.dtype == LK_F16 ? 0x1p-11 : 0;
  const double allowed = kSumError * reference.largest_magnitude() + half_ulp * reference.largest_value();
  CHECK_CLOSE(y.values(), reference.value, 1.0, what, allowed);
}

Reference reference_matmul(const Matrix& x, const TestWeight& weight, const Matrix* bias, lk_dtype rounded_weight) {
  Reference y(x.rows, weight.rows());
  std::vector<double> w(static_cast<size_t>(weight.cols()));
  for (int64_t n = 0; n < weight.rows(); ++n) {
    for (int64_t k = 0; k < weight.cols(); ++k) w[k] = weight.at(n, k, rounded_weight);
    for (int64_t m = 0; m < x.rows; ++m) {
      for (int64_t k = 0; k < weight.cols(); ++k) y.add(m, n, x.at(m, k) * w[k], std::fabs(x.at(m, k) * w[k]));
      if (bias) y.add(m, n, bias->at(0, n), std::fabs(bias->at(0, n)));
    }
  }
  return y;
}

Reference reference_matmul_transposed(const Matrix& dy, const TestWeight& weight, lk_dtype rounded_weight) {
  Reference dx(dy.rows, weight.cols());
  for (int64_t n = 0; n < weight.rows(); ++n) {
    for (int64_t k = 0; k < weight.cols(); ++k) {
      const double w = weight.at(n, k, rounded_weight);
      for (int64_t m = 0; m < dy.rows; ++m) dx.add(m, k, dy.at(m, n) * w, std::fabs(dy.at(m, n) * w));
    }
  }
  return dx;
}

TestLora::TestLora(std::mt19937& generator, int64_t n, int64_t k, int64_t rank, lk_dtype dtype, float scaling_,
                   float dropout_)
    : a(Matrix::random(generator, rank, k, dtype, 0.1f)),
      b(Matrix::random(generator, n, rank, dtype, 0.1f)),
      grad_a(Matrix::random(generator, rank, k)),
      grad_b(Matrix::random(generator, n, rank)),
      scaling(scaling_),
      dropout(dropout_) {}

lk_lora TestLora::descriptor() const {
  lk_lora lora{};
  lora.a = a.tensor();
  lora.b = b.tensor();
  lora.grad_a = grad_a.tensor();
  lora.grad_b = grad_b.tensor();
  lora.scaling = scaling;
  lora.dropout = dropout;
  lora.seed = seed;
  lora.step = step;
  return lora;
}

Reference reference_down(const Matrix& x, const TestLora& lora) {
  const DropoutMask mask = lora.mask();
  Reference s(x.rows, lora.a.rows);
  for (int64_t m = 0; m < x.rows; ++m) {
    for (int64_t k = 0; k < x.cols; ++k) {
      const double dropped = x.at(m, k) * mask.factor(m, k);
      for (int64_t r = 0; r < lora.a.rows; ++r)
        s.add(m, r, dropped * lora.a.at(r, k), std::fabs(dropped * lora.a.at(r, k)));
    }
  }
  return s;
}

void add_reference_lora(const Matrix& x, const TestLora& lora, Reference& y) {
  const Reference s = reference_down(x, lora);
  for (int64_t m = 0; m < y.rows; ++m) {
    for (int64_t n = 0; n < y.cols; ++n) {
      for (int64_t r = 0; r < s.cols; ++r) {
        const double b = static_cast<double>(lora.scaling) * lora.b.at(n, r);
        y.add(m, n, s.value[m * s.cols + r] * b, s.magnitude[m * s.cols + r] * std::fabs(b));
      }
    }
  }
}

ReferenceGradients reference_lora_backward(const Matrix& x, const Matrix& dy, const TestWeight& weight,
                                           const TestLora& lora, lk_dtype rounded_weight) {
  const DropoutMask mask = lora.mask();
  const int64_t rank = lora.a.rows;
  const Reference s = reference_down(x, lora);
  ReferenceGradients g{reference_matmul_transposed(dy, weight, rounded_weight), Reference(rank, x.cols),
                       Reference(dy.cols, rank)};
  for (int64_t m = 0; m < x.rows; ++m) {
    std::vector<double> ds(static_cast<size_t>(rank)), ds_magnitude(ds);
    for (int64_t n = 0; n < dy.cols; ++n) {
      const double gradient = static_cast<double>(lora.scaling) * dy.at(m, n);
      for (int64_t r = 0; r < rank; ++r) {
        ds[r] += gradient * lora.b.at(n, r);
        ds_magnitude[r] += std::fabs(gradient * lora.b.at(n, r));
        g.grad_b.add(n, r, gradient * s.value[m * rank + r], std::fabs(gradient) * s.magnitude[m * rank + r]);
      }
    }
    for (int64_t k = 0; k < x.cols; ++k) {
      const double factor = mask.factor(m, k), dropped = factor * x.at(m, k);
      for (int64_t r = 0; r < rank; ++r) {
        g.grad_a.add(r, k, ds[r] * dropped, ds_magnitude[r] * std::fabs(dropped));
        g.dx.add(m, k, factor * ds[r] * lora.a.at(r, k), factor * ds_magnitude[r] * std::fabs(lora.a.at(r, k)));
      }
    }
  }
  return g;
}

}  // namespace lk::test
