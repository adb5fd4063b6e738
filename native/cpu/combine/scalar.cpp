#include <atomic>

#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/philox_scalar.inl"
#include "cpu/simd/dropout.inl"
#include "cpu/combine/pieces.inl"
#include "cpu/combine/sums.inl"
#include "cpu/combine/ranked.inl"
#include "cpu/combine/random.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_combine_scalar(KernelTable& table) {
  table.combine_linear = scalar::combine_linear;
  table.combine_elected = scalar::combine_elected;
  table.keep_ranked = scalar::keep_ranked;
  table.keep_random = scalar::keep_random;
  table.keep_by_magnitude = scalar::keep_by_magnitude;
  table.opposing_signs = scalar::opposing_signs;
  table.dot = scalar::dot;
}

}  // namespace lk::cpu
