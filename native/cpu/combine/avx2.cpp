#include <atomic>

#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/philox_avx2.inl"
#include "cpu/simd/dropout.inl"
#include "cpu/combine/pieces.inl"
#include "cpu/combine/sums.inl"
#include "cpu/combine/ranked.inl"
#include "cpu/combine/random.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_combine_avx2(KernelTable& table) {
  table.combine_linear = avx2::combine_linear;
  table.combine_elected = avx2::combine_elected;
  table.keep_ranked = avx2::keep_ranked;
  table.keep_random = avx2::keep_random;
  table.keep_by_magnitude = avx2::keep_by_magnitude;
  table.opposing_signs = avx2::opposing_signs;
  table.dot = avx2::dot;
}

}  // namespace lk::cpu
