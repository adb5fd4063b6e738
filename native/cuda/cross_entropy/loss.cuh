// Loss, prediction and gradient of rows of logits, in place: a block a row.
#pragma once

#include "cuda/block.cuh"
#include "cuda/convert.cuh"
#include "cuda/launch.cuh"
#include "cuda/values.cuh"

namespace lk::cuda {

// What the kernels of a slice take of lk_cross_entropy: row r of the slice is token first + r.
struct LossArgs {
  int64_t first, vocabulary;
  const int32_t* labels;
  const float* weights;  // null: all 1
  float softcap, gradient_scale;
  bool gradients;
  float* loss;
  int32_t* predictions;  // null: not wanted
  ValueCheck check;

  // A label that is out of range counts as none.
  __device__ bool labelled(int64_t row) const {
    const int32_t label = labels[first + row];
    return label >= 0 && check.holds(label);
  }
};

inline constexpr int kLossThreads = 256, kLossWidth = 4;

// Of two numbers, or of a number and a NaN: the number.
struct LargestNumber {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Smallest {
  __device__ __forceinline__ int operator()(int a, int b) const { return a < b ? a : b; }
};

struct LossShared {
  double scratch[kLossThreads / kWarpLanes];
  float factor, at_label;  // of the gradient: what all weights are multiplied by, and what stands at the label
};

// z = softcap * tanh(z / softcap), in place, where softcap is not 0. Returns the largest, for all threads.
__device__ inline float cap_row(float* z, const LossArgs& a, LossShared& shared) {
  float largest = -INFINITY;
  for (int64_t i = threadIdx.x; i < a.vocabulary; i += kLossThreads) {
    float value = z[i];
    if (a.softcap > 0.0f) {
      value = a.softcap * tanhf(value / a.softcap);
      z[i] = value;
    }
    largest = fmaxf(largest, value);
  }
  return block_reduce(largest, LargestNumber{}, reinterpret_cast<float*>(shared.scratch));
}

// What one thread makes of the sum of exp(z - largest) over all but the label: where the label is likely, the others are the
// loss, however small it is.
__device__ inline void finish_row(const LossArgs& a, int64_t token, double others, float largest, float z_label,
                                  LossShared& shared) {
  const double behind = static_cast<double>(largest) - static_cast<double>(z_label), own = exp(-behind);
  const double sum = others + own, loss = own > 0.5 ? log1p(others / own) : log(sum) + behind;
  a.loss[token] = static_cast<float>(loss);
  const float scale = a.gradient_scale * (a.weights ? a.weights[token] : 1.0f);
  const float capped = a.softcap > 0.0f ? z_label / a.softcap : 0.0f;
  shared.factor = static_cast<float>(static_cast<double>(scale) / sum);
  // p - 1 at the label, without its cancellation
  shared.at_label = (1.0f - capped * capped) * scale * static_cast<float>(expm1(-loss));
}

// The gradient by the uncapped logits replaces the row, in T at its start. Where T is narrower, what is written lies over
// logits of this piece and of those before it: all of them have been read.
template <typename T>
__device__ void replace_by_gradient(float* z, const LossArgs& a, int64_t label, float largest,
                                    const LossShared& shared) {
  const float inverse = a.softcap > 0.0f ? 1.0f / a.softcap : 0.0f;  // without a cap, every slope is 1
  for (int64_t piece = 0; piece < a.vocabulary; piece += kLossThreads * kLossWidth) {
    const int64_t i = piece + threadIdx.x * kLossWidth, count = a.vocabulary - i;
    float v[kLossWidth];
    load_floats<kLossWidth>(z + i, count, v);
#pragma unroll
    for (int j = 0; j < kLossWidth; ++j) {
      const float capped = v[j] * inverse;
      v[j] = i + j == label ? shared.at_label : (1.0f - capped * capped) * (shared.factor * expf(v[j] - largest));
    }
    if (sizeof(T) < sizeof(float)) __syncthreads();
    store_floats<kLossWidth>(reinterpret_cast<T*>(z) + i, count, v);
  }
}

// logits: rows `stride` floats apart, aligned to 16 bytes. Rows without a label get no loss, no prediction, and gradient 0.
template <typename T>
__global__ void __launch_bounds__(kLossThreads) loss_kernel(LossArgs a, float* logits, int64_t stride) {
  auto& shared = *reinterpret_cast<LossShared*>(LK_SHARED_MEMORY());
  const int64_t row = blockIdx.x, token = a.first + row;
  float* z = logits + row * stride;
  if (!a.labelled(row)) {
    if (threadIdx.x == 0) {
      a.loss[token] = 0.0f;
      if (a.predictions) a.predictions[token] = -1;
    }
    if (!a.gradients) return;
    for (int64_t i = threadIdx.x; i < a.vocabulary; i += kLossThreads) reinterpret_cast<T*>(z)[i] = T{};
    return;
  }
  const int64_t label = a.labels[token];
  const float largest = cap_row(z, a, shared);
  constexpr int kNone = 0x7fffffff;
  int place = kNone;
  double others = 0.0;
  for (int64_t i = threadIdx.x; i < a.vocabulary; i += kLossThreads) {
    const float value = z[i];
    if (i != label) others += static_cast<double>(expf(value - largest));
    if (value == largest && place == kNone) place = static_cast<int>(i);
  }
  others = block_reduce(others, Add{}, shared.scratch);
  place = block_reduce(place, Smallest{}, reinterpret_cast<int*>(shared.scratch));
  if (threadIdx.x == 0) {
    finish_row(a, token, others, largest, z[label], shared);
    if (a.predictions) a.predictions[token] = place == kNone ? 0 : place;
  }
  __syncthreads();
  if (a.gradients) replace_by_gradient<T>(z, a, label, largest, shared);
}

}  // namespace lk::cuda
