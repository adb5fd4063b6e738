#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/reduce/columns.inl"
#include "cpu/reduce/body.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_reduce_scalar(KernelTable& table) {
  table.transformer.column_sums = scalar::column_sums;
  table.transformer.sums_of_squares = scalar::sums_of_squares;
}

}  // namespace lk::cpu
