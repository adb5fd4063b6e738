#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/math.inl"

#include "cpu/cross_entropy/softmax.inl"

#include "cpu/cross_entropy/body.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_cross_entropy_scalar(KernelTable& table) {
  table.transformer.linear_cross_entropy = scalar::linear_cross_entropy;
}

}  // namespace lk::cpu
