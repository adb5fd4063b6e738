// The one product of cuBLAS that the measurements need, from the library of the CUDA toolkit, if it is there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "bench/gpu/library.h"

namespace lk::bench {

class CuBlas {
 public:
  // Null where it cannot be loaded; `reason` says why.
  static std::unique_ptr<CuBlas> load(const Side& side, std::string& reason);

  // Row-major c [m, n] = alpha op(a) op(b) + beta c, BF16 with sums in F32, on the stream of the side.
  void gemm(bool transpose_a, bool transpose_b, float alpha, const Matrix& a, const Matrix& b, float beta,
            const Matrix& c) const;

 private:
  using Create = int (*)(void**);
  using SetStream = int (*)(void*, void*);
  using GemmEx = int (*)(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int,
                         const void*, void*, int, int, int, int);
  void* handle_ = nullptr;
  GemmEx gemm_ = nullptr;
};

}  // namespace lk::bench
