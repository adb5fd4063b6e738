#include "cuda/backend.h"

namespace lk::cuda {
namespace {

#ifdef LK_EMULATED
constexpr const char* kName = "cuda-emulated";
#else
constexpr const char* kName = "cuda";
#endif

KernelTable build() {
  KernelTable t{};
  t.name = kName;
  install_adamw(t);
  install_elementwise(t);
  install_matmul(t);
  install_combine(t);
  install_merge(t);
  install_quantize(t);
  install_glu(t);
  install_norm(t);
  install_rope(t);
  install_embedding(t);
  install_reduce(t);
  install_attention(t);
  install_cross_entropy(t);
  return t;
}

}  // namespace

const KernelTable& table() {
  static const KernelTable table = build();
  return table;
}

}  // namespace lk::cuda
