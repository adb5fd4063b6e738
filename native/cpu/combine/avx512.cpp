#include <atomic>

#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/philox_avx512.inl"
#include "cpu/simd/dropout.inl"
#include "cpu/combine/pieces.inl"
#include "cpu/combine/sums.inl"
#include "cpu/combine/ranked.inl"
#include "cpu/combine/random.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_combine_avx512(KernelTable& table) {
  table.combine_linear = avx512::combine_linear;
  table.combine_elected = avx512::combine_elected;
  table.keep_ranked = avx512::keep_ranked;
  table.keep_random = avx512::keep_random;
  table.keep_by_magnitude = avx512::keep_by_magnitude;
  table.opposing_signs = avx512::opposing_signs;
  table.dot = avx512::dot;
}

}  // namespace lk::cpu
