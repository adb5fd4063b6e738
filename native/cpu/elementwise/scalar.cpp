#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/simd/math.inl"
#include "cpu/simd/philox_scalar.inl"
#include "cpu/simd/dropout.inl"
#include "cpu/elementwise/runs.inl"
#include "cpu/elementwise/body.inl"
#include "cpu/elementwise/arithmetic.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_elementwise_scalar(KernelTable& table) {
  table.convert = scalar::convert;
  table.dropout = scalar::dropout;
  table.transformer.add = scalar::add;
  table.transformer.scale = scalar::scale;
  table.transformer.softcap = scalar::softcap;
  table.transformer.scale_columns = scalar::scale_columns;
}

}  // namespace lk::cpu
