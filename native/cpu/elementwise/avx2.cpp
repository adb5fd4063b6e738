#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/simd/math.inl"
#include "cpu/simd/philox_avx2.inl"
#include "cpu/simd/dropout.inl"
#include "cpu/elementwise/runs.inl"
#include "cpu/elementwise/body.inl"
#include "cpu/elementwise/arithmetic.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_elementwise_avx2(KernelTable& table) {
  table.convert = avx2::convert;
  table.dropout = avx2::dropout;
  table.transformer.add = avx2::add;
  table.transformer.scale = avx2::scale;
  table.transformer.softcap = avx2::softcap;
  table.transformer.scale_columns = avx2::scale_columns;
}

}  // namespace lk::cpu
