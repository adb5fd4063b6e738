// matmul and LoRA in plain C++: the reference in speed, and what runs where nothing better does.
#include <array>

#include "cpu/simd/scalar.h"
#include "cpu/simd/target.h"

namespace lk::cpu::scalar {
namespace {

// 4 x 8 sums: the 16 SSE registers of every x86-64 hold half of them and the operands.
constexpr int kTileRows = 4, kTileVectors = 2;
constexpr int kPanelSteps = 128;
constexpr int kBlockRows = 128, kBlockColumns = 128;

#include "cpu/simd/philox_scalar.inl"

#include "cpu/simd/dropout.inl"
#include "cpu/simd/io.inl"
#include "cpu/weight/lookup_scalar.inl"
#include "cpu/weight/decode.inl"

#include "cpu/matmul/rows.inl"

#include "cpu/matmul/transpose_scalar.inl"
#include "cpu/matmul/weights.inl"

struct FastPanels {
  explicit FastPanels(const lk_weight&) {}
  template <Direction>
  bool build(int64_t, int, int64_t, int, float*) const {
    return false;
  }
  void prefetch(int64_t, int64_t, int64_t, int64_t, int, int) const {}
};

#include "cpu/matmul/microkernel.inl"

#include "cpu/matmul/panel.inl"

#include "cpu/matmul/left.inl"

#include "cpu/matmul/gemm.inl"

#include "cpu/matmul/gemv.inl"
#include "cpu/matmul/gemv_transposed.inl"
#include "cpu/matmul/gradient.inl"

template <typename F>
void with_product(const lk_weight&, int32_t, F&& f) {
  f(F32Product{});
}

template <typename F>
void with_decoder(const lk_weight& weight, int32_t, F&& f) {
  f(GeneralDecoder(weight));
}

template <typename F>
void with_rows(const lk_weight& weight, F&& f) {
  f(GeneralRows(weight));
}

#include "cpu/matmul/operations.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_matmul_scalar(KernelTable& table) {
  table.matmul = scalar::matmul;
  table.matmul_transposed = scalar::matmul_transposed;
  table.lora_forward = scalar::lora_forward;
  table.lora_backward = scalar::lora_backward;
  table.transformer.weight_gradient = scalar::weight_gradient;
}

}  // namespace lk::cpu
