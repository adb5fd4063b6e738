#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/philox_scalar.inl"
#include "cpu/simd/dropout.inl"
#include "cpu/elementwise/body.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_elementwise_scalar(KernelTable& table) {
  table.convert = scalar::convert;
  table.dropout = scalar::dropout;
}

}  // namespace lk::cpu
