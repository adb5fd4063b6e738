// The 4-bit formats on the device, bit for bit as native/README.md says: products and sums are rounded one by one (the
// compiler would fuse them otherwise), subnormals are kept. Code books, thresholds and the dynamic map are those of
// common/format4_tables.h; dropout is DropoutMask of common/philox.h.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "common/format4.h"
#include "common/philox.h"

namespace lk::cuda {

// A table of constants in device memory.
template <typename T, int kCount>
struct Table {
  T value[kCount];
};

template <typename T, int kCount>
constexpr Table<T, kCount> table_of(const T (&values)[kCount]) {
  Table<T, kCount> table{};
  for (int i = 0; i < kCount; ++i) table.value[i] = values[i];
  return table;
}

// Constants of its own for every file of kernels that uses them.
__device__ const Table<float, 256> kDeviceDynamicMap = table_of(kDynamicMap);
__device__ const Table<float, 256> kDeviceDynamicMapUnsigned = table_of(kDynamicMapUnsigned);

// ---- decoding --------------------------------------------------------------------------------------------------

// The sixteen values of a format, by nibble: a kernel's argument. Kernels that decode many elements copy it to shared
// memory, where its sixteen words lie in sixteen banks, so that no two lanes ever wait for one another.
struct CodeBook {
  explicit CodeBook(int32_t format) {
    for (int i = 0; i < 16; ++i) value[i] = code_book(format)[i];
  }
  float value[16];
};

// scale(b) of a 4-bit weight, with one or two levels: a kernel's argument.
struct DeviceScales {
  explicit DeviceScales(const lk_weight& w)
      : absmax(at_address<const float>(w.absmax)),
        codes(at_address<const uint8_t>(w.absmax_codes)),
        nested_absmax(at_address<const float>(w.nested_absmax)),
        nested_code(at_address<const float>(w.nested_code)),
        offset(w.nested_offset) {}

  __device__ __forceinline__ float operator[](int64_t block) const {
    if (absmax) return absmax[block];
    const float code = nested_code ? nested_code[codes[block]] : kDeviceDynamicMap.value[codes[block]];
    return __fadd_rn(__fmul_rn(code, nested_absmax[block / kNestedBlockSize]), offset);
  }

  const float* absmax;  // null: two levels
  const uint8_t* codes;
  const float* nested_absmax;
  const float* nested_code;  // null: the standard map
  float offset;
};

// The nibble at place i (0 ... 7) of 8 elements whose bytes are a little-endian word: the even ones are in the high halves.
__device__ __forceinline__ uint32_t nibble_of(uint32_t word, int i) {
  return word >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 15u;
}

// A 4-bit weight as a kernel's argument, to read elements anywhere in it; blocks may straddle rows.
struct FourBitMatrix {
  explicit FourBitMatrix(const lk_weight& w)
      : packed(at_address<const uint8_t>(w.data)),
        cols(w.cols),
        block_shift(__builtin_ctz(static_cast<unsigned>(w.block_size))),
        scales(w),
        book(w.format) {}

  __device__ __forceinline__ uint32_t nibble(int64_t element) const {
    const uint32_t byte = packed[element >> 1];
    return element & 1 ? byte & 15u : byte >> 4;
  }
  // code[nibble] * scale; code: the book, in shared memory
  __device__ __forceinline__ float decode(int64_t element, const float* code) const {
    return __fmul_rn(code[nibble(element)], scales[element >> block_shift]);
  }

  // to[i] = W[row, col + i] for i < min(kCount, count), the others 0. kCount: a power of two of at most 8.
  template <int kCount>
  __device__ __forceinline__ void load(int64_t row, int64_t col, int64_t count, const float* code,
                                       float (&to)[kCount]) const {
    static_assert(kCount == 2 || kCount == 4 || kCount == 8, "whole bytes in one block");
    const int64_t element = row * cols + col;
    if (count >= kCount && element % kCount == 0) {  // a block is a multiple of kCount: one scale
      const float scale = scales[element >> block_shift];
      const uint8_t* bytes = packed + element / 2;
#pragma unroll
      for (int i = 0; i < kCount; i += 2) {
        const uint32_t byte = bytes[i / 2];
        to[i] = __fmul_rn(code[byte >> 4], scale);
        to[i + 1] = __fmul_rn(code[byte & 15u], scale);
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) to[i] = i < count ? decode(element + i, code) : 0.0f;
  }

  const uint8_t* packed;
  int64_t cols;
  int block_shift;
  DeviceScales scales;
  CodeBook book;
};

// ---- encoding --------------------------------------------------------------------------------------------------

// From a scaled value to its nibble by four comparisons: a kernel's argument. The thresholds stand as a search tree, the
// children of node i being 2i and 2i + 1; going right wherever the value is not <= the threshold ends at node 16 + rank.
struct CodeSearch {
  explicit CodeSearch(int32_t format) : order(0) {
    tree[0] = 0.0f;  // not a node
    for (int level = 0; level < 4; ++level) {
      const int nodes = 1 << level, distance = 16 >> level;  // of thresholds on one level
      for (int i = 0; i < nodes; ++i) tree[nodes + i] = thresholds(format)[distance / 2 - 1 + i * distance];
    }
    for (int rank = 0; rank < 16; ++rank) order |= uint64_t{code_order(format)[rank]} << (4 * rank);
  }

  // shared_tree: a copy of tree in shared memory
  __device__ __forceinline__ uint32_t nibble(float value, const float* shared_tree) const {
    int node = 1;
#pragma unroll
    for (int level = 0; level < 4; ++level) node = 2 * node + !(value <= shared_tree[node]);
    return static_cast<uint32_t>(order >> (4 * (node - 16))) & 15u;
  }

  float tree[16];
  uint64_t order;  // nibble of rank r in bits 4r ... 4r + 3
};

// ---- dynamic 8-bit maps ----------------------------------------------------------------------------------------

// Between values i and i + 1 of a map, i < 255.
__device__ __forceinline__ float midpoint(const float* map, unsigned i) {
  return __fmul_rn(__fadd_rn(map[i], map[i + 1]), 0.5f);
}

// The nearest code of a map, by way of 65536 bins. midpoints: its 255, in shared memory.
__device__ __forceinline__ uint8_t dynamic_code(float value, const float* midpoints) {
  float clamped = -1.0f < value ? value : -1.0f;  // a NaN, from a subnormal absmax, becomes -1
  clamped = clamped < 1.0f ? clamped : 1.0f;
  const float place = __fadd_rn(__fmul_rn(__fmul_rn(__fadd_rn(clamped, 1.0f), 0.5f), 65535.0f), 0.5f);
  const float bin = static_cast<float>(static_cast<int>(place));
  const float centre = __fadd_rn(-1.0f, __fdiv_rn(__fmul_rn(2.0f, bin), 65535.0f));
  unsigned code = 0;
  for (unsigned step = 128; step > 0; step /= 2) code += midpoints[code + step - 1] < centre ? step : 0u;
  return static_cast<uint8_t>(code);
}

}  // namespace lk::cuda
