#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/reduce/columns.inl"
#include "cpu/reduce/body.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_reduce_avx512(KernelTable& table) {
  table.transformer.column_sums = avx512::column_sums;
  table.transformer.sums_of_squares = avx512::sums_of_squares;
}

}  // namespace lk::cpu
