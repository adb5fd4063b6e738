#include "cpu/simd/target.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

#include "cpu/simd/avx2.h"

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
