// matmul and LoRA for AVX-512 (F, BW, DQ, VL, VBMI).
#include <array>

#include "cpu/simd/target.h"

// Raised falsely by g++ 12 inside its own intrinsics (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

// 6 x 64 sums in 24 of the 32 registers: 4 loads and 6 broadcasts for 24 multiply-adds, and 64 columns are a block of
// a row.
constexpr int kTileRows = 6, kTileVectors = 4;
constexpr int kPanelSteps = 128;                      // a panel of 32 KiB stays in L1
constexpr int kBlockRows = 264, kBlockColumns = 128;  // sums and left operand, 264 KiB, stay in L2

#include "cpu/simd/philox_avx512.inl"

#include "cpu/simd/dropout.inl"
#include "cpu/simd/io.inl"
#include "cpu/weight/lookup_avx512.inl"
#include "cpu/weight/decode.inl"

#include "cpu/matmul/rows.inl"

#include "cpu/matmul/transpose_avx512.inl"
#include "cpu/matmul/weights.inl"

#include "cpu/matmul/microkernel.inl"

#include "cpu/matmul/panel_avx512.inl"

#include "cpu/matmul/panel.inl"

#include "cpu/matmul/left.inl"

#include "cpu/matmul/gemm.inl"

#include "cpu/matmul/gemv.inl"
#include "cpu/matmul/gemv_avx512.inl"
#include "cpu/matmul/gemv_transposed.inl"
#include "cpu/matmul/gemv_transposed_avx512.inl"
#include "cpu/matmul/gradient.inl"

template <typename F>
void with_product(const lk_weight&, int32_t, F&& f) {
  f(F32Product{});
}

template <typename F>
void with_decoder(const lk_weight& weight, int32_t, F&& f) {
  if (AlignedBlocks::is_aligned(weight)) return f(BlockDecoder(weight));
  f(GeneralDecoder(weight));
}

template <typename F>
void with_rows(const lk_weight& weight, F&& f) {
  if (AlignedBlocks::is_aligned(weight)) return f(BlockRows(weight));
  f(GeneralRows(weight));
}

#include "cpu/matmul/operations.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_matmul_avx512(KernelTable& table) {
  table.matmul = avx512::matmul;
  table.matmul_transposed = avx512::matmul_transposed;
  table.lora_forward = avx512::lora_forward;
  table.lora_backward = avx512::lora_backward;
  table.transformer.weight_gradient = avx512::weight_gradient;
}

}  // namespace lk::cpu
