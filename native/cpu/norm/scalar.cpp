#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/reduce/columns.inl"
#include "cpu/norm/body.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_norm_scalar(KernelTable& table) {
  table.transformer.rms_norm = scalar::rms_norm;
  table.transformer.rms_norm_backward = scalar::rms_norm_backward;
}

}  // namespace lk::cpu
