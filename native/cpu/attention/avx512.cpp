// Attention for AVX-512 (F, BW, DQ, VL, VBMI).
#include <array>

#include "cpu/simd/target.h"

// Raised falsely by g++ 12 inside its own intrinsics (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

// 6 x 64 sums in 24 of the 32 registers: 4 loads and 6 broadcasts for 24 multiply-adds.
constexpr int kTileRows = 6, kTileVectors = 4;

#include "cpu/simd/io.inl"
#include "cpu/simd/math.inl"

#include "cpu/matmul/transpose_avx512.inl"

#include "cpu/attention/tile.inl"

#include "cpu/attention/heads.inl"

#include "cpu/attention/forward.inl"

#include "cpu/attention/backward.inl"

#include "cpu/attention/backward_tasks.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_attention_avx512(KernelTable& table) {
  table.transformer.attention_forward = avx512::attention_forward;
  table.transformer.attention_backward = avx512::attention_backward;
}

}  // namespace lk::cpu
