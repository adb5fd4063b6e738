// A projection in NF4 with a LoRA adapter, and what goes through it, on one device.
#pragma once

#include <memory>

#include "bench/gpu/library.h"

namespace lk::bench {

// NF4, blocks of 64, double quantisation.
class Nf4Weight {
 public:
  Nf4Weight(const Side& side, const Matrix& dense)
      : packed_(side, (dense.tensor().rows * dense.tensor().cols + 1) / 2),
        codes_(side, blocks(dense)),
        nested_(side, (blocks(dense) + 255) / 256 * 4) {
    weight_.rows = dense.tensor().rows;
    weight_.cols = dense.tensor().cols;
    weight_.data = packed_.address();
    weight_.absmax_codes = codes_.address();
    weight_.nested_absmax = nested_.address();
    weight_.nested_block_size = 256;
    weight_.block_size = 64;
    weight_.format = LK_NF4;
    LK_CALL(side.library, lk_quantize, side.device(), &dense.tensor(), &weight_);
  }
  const lk_weight& weight() const { return weight_; }
  const Buffer& packed() const { return packed_; }
  const Buffer& codes() const { return codes_; }

 private:
  static int64_t blocks(const Matrix& dense) { return (dense.tensor().rows * dense.tensor().cols + 63) / 64; }

  Buffer packed_, codes_, nested_;
  lk_weight weight_{};
};

struct Layer {
  Layer(const Side& side, int64_t m, int64_t n, int64_t k, int64_t rank, lk_dtype dtype)
      : x(Matrix::normal(side, m, k, dtype, 1)),
        dy(Matrix::normal(side, m, n, dtype, 2)),
        y(side, m, n, dtype),
        dx(side, m, k, dtype),
        dense(Matrix::normal(side, n, k, dtype, 3, 0.02f)),
        a(Matrix::normal(side, rank, k, dtype, 4, 0.02f)),
        b(Matrix::normal(side, n, rank, dtype, 5, 0.02f)),
        grad_a(side, rank, k, LK_F32),
        grad_b(side, n, rank, LK_F32),
        nf4(side, *dense) {
    lora.a = a->tensor();
    lora.b = b->tensor();
    lora.grad_a = grad_a.tensor();
    lora.grad_b = grad_b.tensor();
    lora.scaling = 2.0f;
    lora.dropout = 0.05f;
    lora.seed = 7;
  }
  std::unique_ptr<Matrix> x, dy;
  Matrix y, dx;
  std::unique_ptr<Matrix> dense, a, b;
  Matrix grad_a, grad_b;
  Nf4Weight nf4;
  lk_lora lora{};
};

}  // namespace lk::bench
