// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011): four random words from a 128-bit
// counter and a 64-bit key. lora_kernels.h (lk_lora) says how dropout lays coordinates into the counter.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace lk {

struct Philox4 {
  uint32_t word[4];
};

inline constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53u;
inline constexpr uint32_t kPhiloxMultiplier1 = 0xCD9E8D57u;
inline constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9u;
inline constexpr uint32_t kPhiloxWeyl1 = 0xBB67AE85u;
inline constexpr int kPhiloxRounds = 10;

LK_HOST_DEVICE inline Philox4 philox4x32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t p0 = uint64_t{kPhiloxMultiplier0} * c0, p1 = uint64_t{kPhiloxMultiplier1} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  return {{c0, c1, c2, c3}};
}

// The mask of lk_lora: kept elements are scaled by `scale`, dropped ones are those whose word is below `threshold`.
struct DropoutMask {
  uint64_t seed;
  uint64_t step;
  uint32_t threshold;  // floor(rate * 2^32); 0 = nothing is dropped
  float scale;         // 1 / (1 - rate)

  LK_HOST_DEVICE static DropoutMask of(float rate, uint64_t seed, uint64_t step) {
    return {seed, step, static_cast<uint32_t>(static_cast<double>(rate) * 4294967296.0), 1.0f / (1.0f - rate)};
  }
  LK_HOST_DEVICE bool active() const { return threshold != 0; }
  // Words for columns 4 * column_group ... 4 * column_group + 3 of a row.
  LK_HOST_DEVICE Philox4 words(int64_t row, int64_t column_group) const {
    const uint64_t r = static_cast<uint64_t>(row);
    return philox4x32(static_cast<uint32_t>(column_group), static_cast<uint32_t>(r), static_cast<uint32_t>(step),
                      static_cast<uint32_t>(step >> 32) ^ static_cast<uint32_t>(r >> 32), seed);
  }
  // Factor of element (row, column): 0 or `scale`.
  LK_HOST_DEVICE float factor(int64_t row, int64_t column) const {
    if (!active()) return 1.0f;
    return words(row, column / 4).word[column & 3] >= threshold ? scale : 0.0f;
  }
};

}  // namespace lk
