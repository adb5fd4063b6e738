// Stand-in for CUDA's half: the conversions, which round to nearest even; every NaN becomes 0x7fff as on the GPU.
#pragma once

#include <cstdint>

#include "common/half.h"
#include "cuda_runtime.h"

struct alignas(2) __half {
  uint16_t bits;
};
struct alignas(4) __half2 {
  __half x, y;
};

inline __half __ushort_as_half(unsigned short bits) {
  return {bits};
}
inline unsigned short __half_as_ushort(__half v) {
  return v.bits;
}
inline float __half2float(__half v) {
  return lk::f16_to_float(v.bits);
}
inline __half __float2half_rn(float v) {
  if (v != v) return {0x7fff};
  return {lk::float_to_f16(v)};
}
inline __half __float2half(float v) {
  return __float2half_rn(v);
}
inline __half2 __floats2half2_rn(float x, float y) {
  return {__float2half_rn(x), __float2half_rn(y)};
}
