// Sums of slices of depth, added in the order of the slices: what makes a split product the same bits in every run.
#include <algorithm>

#include "cuda/launch.cuh"
#include "cuda/matmul/product.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256;

// partials: F32 [splits, rows of out, cols of out]
__global__ void __launch_bounds__(kThreads)
    splits_sum(const __grid_constant__ Epilogue epilogue, const float* partials, int64_t splits) {
  const int64_t elements = epilogue.out.rows * epilogue.out.cols;
  for (int64_t e = int64_t{blockIdx.x} * kThreads + threadIdx.x; e < elements; e += int64_t{gridDim.x} * kThreads) {
    float sum = 0.0f;
    for (int64_t s = 0; s < splits; ++s) sum += partials[s * elements + e];
    epilogue.store(e / epilogue.out.cols, e % epilogue.out.cols, sum);
  }
}

}  // namespace

void add_splits(CudaDevice& device, const Epilogue& epilogue, const float* partials, int64_t splits) {
  constexpr int64_t kMaxBlocks = 1 << 16;
  const int64_t blocks = std::min(ceil_div(epilogue.out.rows * epilogue.out.cols, kThreads), kMaxBlocks);
  launch(device, splits_sum, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, epilogue, partials, splits);
}

}  // namespace lk::cuda
