// Elements of the float formats as float, on the device: rounded once to nearest even, a NaN stays one, the very bits of
// common/half.h. And runs of elements in 16-byte accesses where their addresses allow it.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "common/format4.h"
#include "common/host_device.h"
#include "lora_kernels.h"

namespace lk::cuda {

// The element types of device memory, one for each float dtype: float, Bf16, F16.
struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

// f(float{}), f(Bf16{}) or f(F16{}): compiles what f calls once for each format.
template <typename F>
void with_dtype(int32_t dtype, F&& f) {
  switch (dtype) {
    case LK_BF16:
      return f(Bf16{});
    case LK_F16:
      return f(F16{});
    default:
      return f(float{});
  }
}

__device__ __forceinline__ float to_float(float v) {
  return v;
}
__device__ __forceinline__ float to_float(Bf16 v) {
  return __uint_as_float(uint32_t{v.bits} << 16);
}
__device__ __forceinline__ float to_float(F16 v) {
  return __half2float(__ushort_as_half(v.bits));
}

__device__ __forceinline__ bool is_nan(float v) {
  return !(v == v);
}

template <typename T>
__device__ __forceinline__ T from_float(float v);

template <>
__device__ __forceinline__ float from_float<float>(float v) {
  return v;
}
template <>
__device__ __forceinline__ Bf16 from_float<Bf16>(float v) {
  return {is_nan(v) ? uint16_t{0xffff} : __bfloat16_as_ushort(__float2bfloat16_rn(v))};
}
template <>
__device__ __forceinline__ F16 from_float<F16>(float v) {
  // The instruction forgets which NaN it was.
  const uint32_t bits = __float_as_uint(v);
  const uint16_t nan = static_cast<uint16_t>((bits >> 16 & 0x8000u) | 0x7e00u | (bits >> 13 & 0x3ffu));
  return {is_nan(v) ? nan : __half_as_ushort(__float2half_rn(v))};
}

// ---- runs of elements ------------------------------------------------------------------------------------------

inline constexpr int kVectorBytes = 16;  // the widest access of a thread

// Elements that a thread moves in one access of kVectorBytes.
template <typename T>
inline constexpr int kVectorElements = kVectorBytes / static_cast<int>(sizeof(T));

template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T element[kCount];
};

__device__ __forceinline__ bool aligned(const void* p, uint32_t bytes) {
  return (reinterpret_cast<uintptr_t>(p) & (bytes - 1)) == 0;
}

// to[i] = from[i] for i < min(kCount, count); the others are T{}. As few accesses as the address allows. kCount: a power of
// two.
template <int kCount, typename T>
__device__ __forceinline__ void load_elements(const T* from, int64_t count, T (&to)[kCount]) {
  constexpr int kWidth = kCount < kVectorElements<T> ? kCount : kVectorElements<T>;
  if (count >= kCount && aligned(from, sizeof(T) * kWidth)) {
#pragma unroll
    for (int i = 0; i < kCount; i += kWidth) {
      const auto pack = *reinterpret_cast<const Pack<T, kWidth>*>(from + i);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) to[i + j] = pack.element[j];
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] = i < count ? from[i] : T{};
}

// to[i] = from[i] for i < min(kCount, count)
template <int kCount, typename T>
__device__ __forceinline__ void store_elements(T* to, int64_t count, const T (&from)[kCount]) {
  constexpr int kWidth = kCount < kVectorElements<T> ? kCount : kVectorElements<T>;
  if (count >= kCount && aligned(to, sizeof(T) * kWidth)) {
#pragma unroll
    for (int i = 0; i < kCount; i += kWidth) {
      Pack<T, kWidth> pack;
#pragma unroll
      for (int j = 0; j < kWidth; ++j) pack.element[j] = from[i + j];
      *reinterpret_cast<Pack<T, kWidth>*>(to + i) = pack;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < count) to[i] = from[i];
  }
}

// The same, widened and rounded.
template <int kCount, typename T>
__device__ __forceinline__ void load_floats(const T* from, int64_t count, float (&to)[kCount]) {
  T elements[kCount];
  load_elements<kCount>(from, count, elements);
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] = to_float(elements[i]);
}

template <int kCount, typename T>
__device__ __forceinline__ void store_floats(T* to, int64_t count, const float (&from)[kCount]) {
  T elements[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) elements[i] = from_float<T>(from[i]);
  store_elements<kCount>(to, count, elements);
}

// ---- matrices --------------------------------------------------------------------------------------------------

// A matrix whose dtype is known when a kernel is compiled.
template <typename T>
struct Matrix {
  explicit Matrix(const lk_tensor& t) : data(at_address<T>(t.data)), stride(t.row_stride) {}

  __device__ __forceinline__ T* at(int64_t row, int64_t col) const { return data + row * stride + col; }
  // Elements (row, col ... col + count), as load_floats and store_floats.
  template <int kCount>
  __device__ __forceinline__ void load(int64_t row, int64_t col, int64_t count, float (&to)[kCount]) const {
    load_floats<kCount>(at(row, col), count, to);
  }
  template <int kCount>
  __device__ __forceinline__ void store(int64_t row, int64_t col, int64_t count, const float (&from)[kCount]) const {
    store_floats<kCount>(at(row, col), count, from);
  }

  T* data;
  int64_t stride;  // elements
};

// A matrix of any float dtype: for kernels over several tensors of different ones.
struct AnyMatrix {
  AnyMatrix() = default;
  explicit AnyMatrix(const lk_tensor& t) : data(t.data), stride(t.row_stride), dtype(t.dtype) {}
  // One row.
  LK_HOST_DEVICE AnyMatrix(lk_address address, int32_t type) : data(address), stride(0), dtype(type) {}

  // As those of Matrix.
  template <int kCount>
  __device__ __forceinline__ void load(int64_t row, int64_t col, int64_t count, float (&to)[kCount]) const {
    const int64_t i = row * stride + col;
    switch (dtype) {
      case LK_BF16:
        return load_floats<kCount>(at_device<const Bf16>() + i, count, to);
      case LK_F16:
        return load_floats<kCount>(at_device<const F16>() + i, count, to);
      default:
        return load_floats<kCount>(at_device<const float>() + i, count, to);
    }
  }
  template <int kCount>
  __device__ __forceinline__ void store(int64_t row, int64_t col, int64_t count, const float (&from)[kCount]) const {
    const int64_t i = row * stride + col;
    switch (dtype) {
      case LK_BF16:
        return store_floats<kCount>(at_device<Bf16>() + i, count, from);
      case LK_F16:
        return store_floats<kCount>(at_device<F16>() + i, count, from);
      default:
        return store_floats<kCount>(at_device<float>() + i, count, from);
    }
  }

  __device__ __forceinline__ float at(int64_t row, int64_t col) const {
    float one[1];
    load(row, col, 1, one);
    return one[0];
  }

  template <typename T>
  __device__ __forceinline__ T* at_device() const {
    return reinterpret_cast<T*>(static_cast<uintptr_t>(data));
  }

  lk_address data;
  int64_t stride;
  int32_t dtype;
};

// ---- matrices counted row by row -------------------------------------------------------------------------------

// Elements [first, first + kCount) of a matrix of `count` elements; those past its end are 0.
template <int kCount, typename AMatrix>
__device__ __forceinline__ void load_flat(const AMatrix& from, int64_t cols, int64_t first, int64_t count,
                                          float (&to)[kCount]) {
  if (from.stride == cols) return from.load(0, first, count - first, to);
  int64_t row = first / cols, col = first % cols;
  if (col + kCount <= cols && first + kCount <= count) return from.load(row, col, kCount, to);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    float one[1] = {0.0f};
    if (first + i < count) from.load(row, col, 1, one);
    to[i] = one[0];
    if (++col == cols) {
      col = 0;
      ++row;
    }
  }
}

// The other way; nothing is written past the end.
template <int kCount, typename AMatrix>
__device__ __forceinline__ void store_flat(const AMatrix& to, int64_t cols, int64_t first, int64_t count,
                                           const float (&from)[kCount]) {
  if (to.stride == cols) return to.store(0, first, count - first, from);
  int64_t row = first / cols, col = first % cols;
  if (col + kCount <= cols && first + kCount <= count) return to.store(row, col, kCount, from);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const float one[1] = {from[i]};
    if (first + i < count) to.store(row, col, 1, one);
    if (++col == cols) {
      col = 0;
      ++row;
    }
  }
}

}  // namespace lk::cuda
