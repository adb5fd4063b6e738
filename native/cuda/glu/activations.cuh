// The activations of a gated linear unit and their slopes; lora_kernels_transformer.h has the formulas.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "lora_kernels_transformer.h"

namespace lk::cuda {

struct Activated {
  float value, slope;
};

// g * s, s = sigmoid(g); slope s * (1 + g * (1 - s))
__device__ __forceinline__ Activated silu(float g) {
  const float z = expf(-fabsf(g));  // does not overflow
  const float s = (g < 0.0f ? z : 1.0f) / (1.0f + z);
  return {g * s, s * fmaf(g, 1.0f - s, 1.0f)};
}

// 0.5 g (1 + t), t = tanh(u), u = sqrt(2 / pi) (g + 0.044715 g^3); slope 0.5 (1 + t) + 0.5 g (1 - t^2) u'
__device__ __forceinline__ Activated gelu_tanh(float g) {
  constexpr float kRoot = 0.7978845608f, kCubic = 0.044715f;
  const float square = g * g, t = tanhf(g * fmaf(square, kRoot * kCubic, kRoot));
  const float bend = (1.0f + t) * (1.0f - t) * fmaf(square, 3.0f * kRoot * kCubic, kRoot);  // (1 - t^2) u'
  return {0.5f * g * (1.0f + t), fmaf(0.5f * g, bend, 0.5f * (1.0f + t))};
}

// g * p, p = 0.5 (1 + erf(g / sqrt(2))); slope p + g exp(-g^2 / 2) / sqrt(2 pi)
__device__ __forceinline__ Activated gelu(float g) {
  const float p = 0.5f * (1.0f + erff(0.7071067812f * g));
  return {g * p, fmaf(0.3989422804f * g, expf(-0.5f * g * g), p)};
}

// The kind is the same for all threads: this branch diverges nowhere.
__device__ __forceinline__ Activated activate(int32_t activation, float g) {
  switch (activation) {
    case LK_GELU_TANH:
      return gelu_tanh(g);
    case LK_GELU:
      return gelu(g);
    default:
      return silu(g);
  }
}

}  // namespace lk::cuda
