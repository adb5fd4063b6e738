#include "bench/gpu/cublas.h"

#include <dlfcn.h>

namespace lk::bench {
namespace {

// Of library_types.h and cublas_api.h.
constexpr int kReal32F = 0, kReal16BF = 14, kCompute32F = 68, kDefaultAlgorithm = -1, kNone = 0, kTranspose = 1;

int type(const Matrix& m) {
  return m.tensor().dtype == LK_F32 ? kReal32F : kReal16BF;
}

}  // namespace

std::unique_ptr<CuBlas> CuBlas::load(const Side& side, std::string& reason) {
  void* library = nullptr;
  for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"}) {
    if (!library) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (!library) {
    reason = dlerror();
    return nullptr;
  }
  const auto create = reinterpret_cast<Create>(dlsym(library, "cublasCreate_v2"));
  const auto set_stream = reinterpret_cast<SetStream>(dlsym(library, "cublasSetStream_v2"));
  auto blas = std::make_unique<CuBlas>();
  blas->gemm_ = reinterpret_cast<GemmEx>(dlsym(library, "cublasGemmEx"));
  if (!create || !set_stream || !blas->gemm_) {
    reason = "libcublas lacks a function";
    return nullptr;
  }
  side.synchronize();  // makes the GPU this thread's current one
  uint64_t stream = 0;
  LK_CALL(side.library, lk_device_stream, side.device(), &stream);
  int status = create(&blas->handle_);
  if (status == 0) status = set_stream(blas->handle_, reinterpret_cast<void*>(static_cast<uintptr_t>(stream)));
  if (status == 0) return blas;
  reason = "cublasCreate or cublasSetStream failed with status " + std::to_string(status);
  return nullptr;
}

// Row-major c = a b is column-major c^T = b^T a^T.
void CuBlas::gemm(bool transpose_a, bool transpose_b, float alpha, const Matrix& a, const Matrix& b, float beta,
                  const Matrix& c) const {
  const auto pointer = [](const Matrix& m) { return reinterpret_cast<void*>(static_cast<uintptr_t>(m.address())); };
  const int64_t k = transpose_a ? a.tensor().rows : a.tensor().cols;
  const int status = gemm_(handle_, transpose_b ? kTranspose : kNone, transpose_a ? kTranspose : kNone,
                           static_cast<int>(c.tensor().cols), static_cast<int>(c.tensor().rows), static_cast<int>(k),
                           &alpha, pointer(b), type(b), static_cast<int>(b.tensor().row_stride), pointer(a), type(a),
                           static_cast<int>(a.tensor().row_stride), &beta, pointer(c), type(c),
                           static_cast<int>(c.tensor().row_stride), kCompute32F, kDefaultAlgorithm);
  if (status != 0) fail("cublasGemmEx failed with status " + std::to_string(status));
}

}  // namespace lk::bench
