#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/rope/body.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_rope_scalar(KernelTable& table) {
  table.transformer.rope = scalar::rope;
}

}  // namespace lk::cpu
