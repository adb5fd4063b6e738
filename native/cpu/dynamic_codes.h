// The nearest codes of a dynamic 8-bit map, by way of 65536 bins as bitsandbytes has them: native/README.md has the rule.
#pragma once

#include <algorithm>
#include <cstdint>

namespace lk::cpu {

// The bin of a value in [-1, 1].
inline int dynamic_bin(float value) {
  const float clamped = std::min(1.0f, std::max(-1.0f, value));
  return static_cast<int>((clamped + 1.0f) * 0.5f * 65535.0f + 0.5f);
}

// The code of a bin is the number of midpoints of the map below the bin's centre.
class DynamicCodes {
 public:
  explicit DynamicCodes(const float* map) {
    for (int i = 0; i < 255; ++i) midpoints_[i] = (map[i] + map[i + 1]) * 0.5f;
  }

  uint8_t code_of_bin(int bin) const {
    const float centre = -1.0f + 2.0f * static_cast<float>(bin) / 65535.0f;
    unsigned code = 0;  // a binary search without branches, which nothing could predict
    for (unsigned step = 128; step > 0; step /= 2) code += step * (midpoints_[code + step - 1] < centre);
    return static_cast<uint8_t>(code);
  }
  uint8_t code(float value) const { return code_of_bin(dynamic_bin(value)); }

 private:
  float midpoints_[255];
};

}  // namespace lk::cpu
