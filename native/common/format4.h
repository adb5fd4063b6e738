// The 4-bit formats (NF4, FP4), double quantisation and the dynamic 8-bit maps: THE place where their block arithmetic
// stands; code books and thresholds are in format4_tables.h. lora_kernels.h (lk_weight) has the layout; native/README.md
// the rules bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/format4_tables.h"
#include "common/host_device.h"
#include "lora_kernels.h"

namespace lk {

inline constexpr int32_t kMinBlockSize = 32, kMaxBlockSize = 4096, kNestedBlockSize = 256;

inline const float* code_book(int32_t format) {
  return format == LK_FP4 ? kFp4Code : kNf4Code;
}
inline const float* thresholds(int32_t format) {
  return format == LK_FP4 ? kFp4Thresholds : kNf4Thresholds;
}
inline const uint8_t* code_order(int32_t format) {
  return format == LK_FP4 ? kFp4Order : kNf4Order;
}

LK_HOST_DEVICE inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
inline int64_t element_count(const lk_weight& w) {
  return w.rows * w.cols;
}
inline int64_t block_count(const lk_weight& w) {
  return ceil_div(element_count(w), w.block_size);
}
inline bool is_4bit(const lk_weight& w) {
  return w.format != LK_DENSE;
}

template <typename T>
T* at_address(lk_address address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

// Nibble of flattened element i: even elements in the high half of their byte.
inline int nibble_at(const uint8_t* packed, int64_t i) {
  return (i & 1) ? packed[i >> 1] & 15 : packed[i >> 1] >> 4;
}

// scale(b) of a 4-bit weight, single or double quantised with nested blocks of kNestedBlockSize (CPU addresses). Cheap to build; keep one per task.
class BlockScales {
 public:
  explicit BlockScales(const lk_weight& w)
      : absmax_(at_address<const float>(w.absmax)),
        codes_(at_address<const uint8_t>(w.absmax_codes)),
        nested_absmax_(at_address<const float>(w.nested_absmax)),
        nested_code_(w.nested_code ? at_address<const float>(w.nested_code) : kDynamicMap),
        offset_(w.nested_offset) {}

  float operator[](int64_t block) const {
    if (absmax_) return absmax_[block];
    return nested_code_[codes_[block]] * nested_absmax_[block / kNestedBlockSize] + offset_;
  }
  // out[i] = scale(first + i), 0 <= i < count
  void copy(int64_t first, int64_t count, float* out) const {
    for (int64_t i = 0; i < count; ++i) out[i] = (*this)[first + i];
  }
  // Where scale(b), or its code, is stored: to fetch it early.
  const void* address(int64_t block) const {
    return absmax_ ? static_cast<const void*>(absmax_ + block) : codes_ + block;
  }
  // The absmax array itself, or null where scales must be computed (double quantisation).
  const float* plain() const { return absmax_; }

 private:
  const float* absmax_;
  const uint8_t* codes_;
  const float* nested_absmax_;
  const float* nested_code_;
  float offset_;
};

}  // namespace lk
