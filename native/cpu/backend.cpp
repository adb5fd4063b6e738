#include "cpu/backend.h"

#include <cstdlib>
#include <cstring>

#include "common/error.h"
#include "lora_kernels.h"

namespace lk::cpu {
namespace {

constexpr const char* kVariable = "LORA_KERNELS_BACKEND";
constexpr Isa kBestFirst[] = {Isa::kAvx512Bf16, Isa::kAvx512, Isa::kAvx2, Isa::kScalar};

KernelTable build(Isa isa) {
  KernelTable t{};
  t.name = "scalar";
  install_quantize_scalar(t);
  install_elementwise_scalar(t);
  install_matmul_scalar(t);
  install_merge_scalar(t);
  install_adamw_scalar(t);
  install_combine_scalar(t);
  install_glu_scalar(t);
  install_norm_scalar(t);
  install_rope_scalar(t);
  install_embedding_scalar(t);
  install_reduce_scalar(t);
  install_attention_scalar(t);
  install_cross_entropy_scalar(t);
  if (isa >= Isa::kAvx2) {
    t.name = "avx2";
    install_quantize_avx2(t);
    install_elementwise_avx2(t);
    install_matmul_avx2(t);
    install_merge_avx2(t);
    install_adamw_avx2(t);
    install_combine_avx2(t);
    install_glu_avx2(t);
    install_norm_avx2(t);
    install_rope_avx2(t);
    install_embedding_avx2(t);
    install_reduce_avx2(t);
    install_attention_avx2(t);
    install_cross_entropy_avx2(t);
  }
  if (isa >= Isa::kAvx512) {
    t.name = "avx512";
    install_quantize_avx512(t);
    install_elementwise_avx512(t);
    install_matmul_avx512(t);
    install_merge_avx512(t);
    install_adamw_avx512(t);
    install_combine_avx512(t);
    install_glu_avx512(t);
    install_norm_avx512(t);
    install_rope_avx512(t);
    install_embedding_avx512(t);
    install_reduce_avx512(t);
    install_attention_avx512(t);
    install_cross_entropy_avx512(t);
  }
  if (isa >= Isa::kAvx512Bf16) {
    t.name = "avx512bf16";
    install_matmul_avx512bf16(t);
  }
  return t;
}

}  // namespace

bool supported(Isa isa) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vbmi");
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx512Bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
  }
  return false;
}

const KernelTable& table(Isa isa) {
  static const KernelTable tables[] = {build(Isa::kScalar), build(Isa::kAvx2), build(Isa::kAvx512),
                                       build(Isa::kAvx512Bf16)};
  return tables[static_cast<int>(isa)];
}

const KernelTable& select(std::string& reason) {
  const char* forced = std::getenv(kVariable);
  if (!forced || !*forced) {
    for (Isa isa : kBestFirst) {
      if (!supported(isa)) continue;
      reason = "the best that this processor supports";
      return table(isa);
    }
  }
  for (Isa isa : kBestFirst) {
    if (std::strcmp(forced, table(isa).name) != 0) continue;
    if (!supported(isa)) {
      fail(LK_BACKEND_UNAVAILABLE,
           "%s=%s cannot run here: this processor lacks the instructions; unset it, or choose another", kVariable,
           forced);
    }
    reason = std::string("forced by ") + kVariable + "=" + forced;
    return table(isa);
  }
  fail(LK_BACKEND_UNAVAILABLE, "%s must be scalar, avx2, avx512 or avx512bf16, but is \"%.64s\"", kVariable, forced);
}

}  // namespace lk::cpu
