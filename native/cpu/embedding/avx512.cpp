#include "cpu/simd/target.h"

#include "cpu/simd/begin_avx512.inl"

namespace lk::cpu::avx512 {
namespace {

#include "cpu/simd/io.inl"
#include "cpu/simd/format.inl"
#include "cpu/elementwise/runs.inl"
#include "cpu/embedding/body.inl"

}  // namespace
}  // namespace lk::cpu::avx512

#pragma GCC pop_options

namespace lk::cpu {

void install_embedding_avx512(KernelTable& table) {
  table.transformer.embedding = avx512::embedding;
  table.transformer.embedding_backward = avx512::embedding_backward;
}

}  // namespace lk::cpu
