#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/simd/math.inl"
#include "cpu/simd/philox_avx512.inl"
#include "cpu/simd/dropout.inl"
#include "cpu/elementwise/runs.inl"
#include "cpu/elementwise/body.inl"
#include "cpu/elementwise/arithmetic.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_elementwise_avx512(KernelTable& table) {
  table.convert = avx512::convert;
  table.dropout = avx512::dropout;
  table.transformer.add = avx512::add;
  table.transformer.scale = avx512::scale;
  table.transformer.softcap = avx512::softcap;
  table.transformer.scale_columns = avx512::scale_columns;
}

}  // namespace lk::cpu
