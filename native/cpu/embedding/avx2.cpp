#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx2.inl"

namespace lk::cpu::avx2 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/elementwise/runs.inl"
#include "cpu/embedding/body.inl"

}  // namespace
}  // namespace lk::cpu::avx2

#pragma GCC pop_options

namespace lk::cpu {

void install_embedding_avx2(KernelTable& table) {
  table.transformer.embedding = avx2::embedding;
  table.transformer.embedding_backward = avx2::embedding_backward;
}

}  // namespace lk::cpu
