// Sums over tensors: linear combination, election of signs, opposing signs, dot product. One pass over every input (two for
// an election); a thread has four neighbouring elements of all of them.
#include <algorithm>
#include <vector>

#include "cuda/backend.h"
#include "cuda/block.cuh"
#include "cuda/combine/combine.h"
#include "cuda/convert.cuh"
#include "cuda/launch.cuh"
#include "cuda/tiles.cuh"

namespace lk::cuda {
namespace {

constexpr int kCount = 4;
using Places = Tiles<kCount>;

struct Input {
  AnyMatrix values;
  float weight;
};

// The inputs where kernels can read them. Copying them waits for what was queued before.
class Inputs {
 public:
  Inputs(Device& device, const lk_tensor* inputs, const float* weights, int64_t count)
      : memory_(device, static_cast<size_t>(count) * sizeof(Input)) {
    std::vector<Input> all;
    for (int64_t i = 0; i < count; ++i) all.push_back({AnyMatrix(inputs[i]), weights[i]});
    device.copy_to_device(memory_.data(), all.data(), all.size() * sizeof(Input));
  }
  const Input* data() const { return reinterpret_cast<const Input*>(memory_.data()); }

 private:
  Workspace memory_;
};

// All is one row where none of the matrices has gaps.
Places places_of(const lk_tensor* inputs, int64_t count, const lk_tensor& out) {
  const bool flat = without_gaps(out) && std::all_of(inputs, inputs + count, [](auto& t) { return without_gaps(t); });
  return flat ? Places(1, out.rows * out.cols) : Places(out.rows, out.cols);
}

__device__ __forceinline__ float sign_of(float v) {
  return static_cast<float>(v > 0.0f) - static_cast<float>(v < 0.0f);
}

__global__ void __launch_bounds__(kTileThreads)
    combine_linear_kernel(const Places places, const Input* inputs, int64_t count, const AnyMatrix out) {
  const auto place = places.place();
  if (place.count <= 0) return;
  float sum[kCount] = {};
  for (int64_t t = 0; t < count; ++t) {
    float x[kCount];
    inputs[t].values.load(place.row, place.col, place.count, x);
    const float weight = inputs[t].weight;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float product = __fmul_rn(weight, x[i]);
      sum[i] = t == 0 ? product : __fadd_rn(sum[i], product);
    }
  }
  out.store(place.row, place.col, place.count, sum);
}

__global__ void __launch_bounds__(kTileThreads)
    combine_elected_kernel(const Places places, const Input* inputs, int64_t count, int32_t election,
                           const AnyMatrix out) {
  const auto place = places.place();
  if (place.count <= 0) return;
  float elected[kCount] = {}, sum[kCount] = {}, agreeing[kCount] = {}, x[kCount];
  for (int64_t t = 0; t < count; ++t) {
    inputs[t].values.load(place.row, place.col, place.count, x);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      elected[i] = __fadd_rn(elected[i], election == LK_SIGN_TOTAL ? x[i] : sign_of(x[i]));
    }
  }
#pragma unroll
  for (float& sign : elected) sign = sign >= 0.0f ? 1.0f : -1.0f;
  for (int64_t t = 0; t < count; ++t) {
    inputs[t].values.load(place.row, place.col, place.count, x);
    const float weight = inputs[t].weight;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (!(x[i] * elected[i] > 0.0f)) continue;
      sum[i] = __fadd_rn(sum[i], __fmul_rn(weight, x[i]));
      agreeing[i] += 1.0f;
    }
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) sum[i] = __fdiv_rn(sum[i], agreeing[i] > 1.0f ? agreeing[i] : 1.0f);
  out.store(place.row, place.col, place.count, sum);
}

struct SignCounts {
  unsigned long long opposing, nonzero;
};

// Sums of integers do not depend on the order of the blocks.
__global__ void __launch_bounds__(kTileThreads)
    opposing_signs_kernel(const Places places, const Input* inputs, int64_t count, SignCounts* counts) {
  int* const scratch = reinterpret_cast<int*>(LK_SHARED_MEMORY());
  const auto place = places.place();
  bool positive[kCount] = {}, negative[kCount] = {};
  for (int64_t t = 0; t < count && place.count > 0; ++t) {
    float x[kCount];
    inputs[t].values.load(place.row, place.col, place.count, x);
    const float turn = sign_of(inputs[t].weight);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float sign = turn * sign_of(x[i]);
      positive[i] |= sign > 0.0f;
      negative[i] |= sign < 0.0f;
    }
  }
  int both = 0, any = 0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    both += positive[i] && negative[i];
    any += positive[i] || negative[i];
  }
  both = block_reduce(both, Add{}, scratch);
  any = block_reduce(any, Add{}, scratch);
  if (threadIdx.x != 0) return;
  atomicAdd(&counts->opposing, static_cast<unsigned long long>(both));
  atomicAdd(&counts->nonzero, static_cast<unsigned long long>(any));
}

// A block of threads sums every gridDim.x-th tile, in F64; products of two floats are exact there.
__global__ void __launch_bounds__(kTileThreads)
    dot_kernel(const Places places, uint32_t tiles, const AnyMatrix a, const AnyMatrix b, double* sums) {
  double* const scratch = reinterpret_cast<double*>(LK_SHARED_MEMORY());
  double sum = 0.0;
  for (uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const auto place = places.place(tile);
    if (place.count <= 0) continue;
    float x[kCount], y[kCount];
    a.load(place.row, place.col, place.count, x);
    b.load(place.row, place.col, place.count, y);
#pragma unroll
    for (int i = 0; i < kCount; ++i) sum += double{x[i]} * y[i];
  }
  sum = block_reduce(sum, Add{}, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kTileThreads) add_sums_kernel(const double* sums, uint32_t count, double* total) {
  double* const scratch = reinterpret_cast<double*>(LK_SHARED_MEMORY());
  double sum = 0.0;
  for (uint32_t i = threadIdx.x; i < count; i += kTileThreads) sum += sums[i];
  sum = block_reduce(sum, Add{}, scratch);
  if (threadIdx.x == 0) *total = sum;
}

constexpr size_t kScratchBytes = kTileThreads / kWarpLanes * sizeof(double);

}  // namespace

void combine_linear(Device& device, const lk_tensor* inputs, const float* weights, int64_t count,
                    const lk_tensor& out) {
  const Inputs all(device, inputs, weights, count);
  const Places places = places_of(inputs, count, out);
  launch(device, combine_linear_kernel, places.grid(), dim3(kTileThreads), 0, places, all.data(), count,
         AnyMatrix(out));
}

void combine_elected(Device& device, const lk_tensor* inputs, const float* weights, int64_t count, int32_t election,
                     const lk_tensor& out) {
  const Inputs all(device, inputs, weights, count);
  const Places places = places_of(inputs, count, out);
  launch(device, combine_elected_kernel, places.grid(), dim3(kTileThreads), 0, places, all.data(), count, election,
         AnyMatrix(out));
}

void opposing_signs(Device& device, const lk_tensor* inputs, const float* weights, int64_t count, int64_t& opposing,
                    int64_t& nonzero) {
  const Inputs all(device, inputs, weights, count);
  const Workspace workspace(device, sizeof(SignCounts));
  auto* const counts = reinterpret_cast<SignCounts*>(workspace.data());
  device.zero(counts, sizeof *counts);
  const Places places = places_of(inputs, count, inputs[0]);
  launch(device, opposing_signs_kernel, places.grid(), dim3(kTileThreads), kScratchBytes, places, all.data(), count,
         counts);
  SignCounts found;
  device.copy_to_host(&found, counts, sizeof found);
  opposing = static_cast<int64_t>(found.opposing);
  nonzero = static_cast<int64_t>(found.nonzero);
}

double dot(Device& device, const lk_tensor& a, const lk_tensor& b) {
  constexpr uint32_t kMostSums = 1024;  // not of the GPU: the order of the sum is that of the size alone
  const Places places = without_gaps(a, b) ? Places(1, a.rows * a.cols) : Places(a.rows, a.cols);
  const uint32_t tiles = places.grid().x, blocks = std::min(tiles, kMostSums);
  const Workspace workspace(device, (blocks + 1) * sizeof(double));
  auto* const sums = reinterpret_cast<double*>(workspace.data());
  launch(device, dot_kernel, dim3(blocks), dim3(kTileThreads), kScratchBytes, places, tiles, AnyMatrix(a), AnyMatrix(b),
         sums);
  launch(device, add_sums_kernel, dim3(1), dim3(kTileThreads), kScratchBytes, sums, blocks, sums + blocks);
  double total;
  device.copy_to_host(&total, sums + blocks, sizeof total);
  return total;
}

void install_combine(KernelTable& table) {
  table.combine_linear = combine_linear;
  table.combine_elected = combine_elected;
  table.opposing_signs = opposing_signs;
  table.dot = dot;
  table.keep_ranked = keep_ranked;
  table.keep_random = keep_random;
  table.keep_by_magnitude = keep_by_magnitude;
}

}  // namespace lk::cuda
