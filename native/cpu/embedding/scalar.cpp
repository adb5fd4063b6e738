#include "cpu/simd/target.h"

#include "cpu/simd/scalar.h"

namespace lk::cpu::scalar {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/elementwise/runs.inl"
#include "cpu/embedding/body.inl"

}  // namespace
}  // namespace lk::cpu::scalar

namespace lk::cpu {

void install_embedding_scalar(KernelTable& table) {
  table.transformer.embedding = scalar::embedding;
  table.transformer.embedding_backward = scalar::embedding_backward;
}

}  // namespace lk::cpu
