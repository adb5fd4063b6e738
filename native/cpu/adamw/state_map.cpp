#include "cpu/adamw/state_map.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "common/format4.h"

namespace lk::cpu {
namespace {

constexpr double kMiddle = 32767.5;  // of the bins
// Lines are moved by so much of a bin: without it one bin of the unsigned map, a tie, would be rounded up.
constexpr double kTie = 1.0 / 256;

}  // namespace

StateMap::StateMap(const float* map, bool signed_map) : is_signed(signed_map), dynamic(map) {
  std::memcpy(values, map, sizeof values);
  for (int i = 0; i < 256; ++i) {
    uint8_t bytes[4];
    std::memcpy(bytes, &map[i], 4);
    for (int b = 0; b < 4; ++b) planes[b][i] = bytes[b];
  }
  const int zero = is_signed ? 127 : 0;
  for (int s = 0; s < kExponents; ++s) starts[s] = std::numeric_limits<float>::infinity();
  for (int s = 0; s < kSegments; ++s) {
    const int decade = s + 2;  // of 0 ... 6; 7 is the value 1
    const bool one = decade == 7;
    const int count = is_signed ? 1 << decade : 2 << decade;  // of the decade's values
    const int first = one ? 255 - zero : is_signed ? count : count - 1;
    const double slope = one ? 0.0 : count * std::pow(10.0, 6 - decade) / 0.9 / kMiddle;
    slopes[s] = static_cast<float>(slope);
    offsets[s] = static_cast<float>(one ? first : first - 0.5 - count * (0.1 / 0.9) - slope * kTie);
    lasts[s] = static_cast<float>(one ? first : first + count - 1);
    // the midpoint to the value before: a d above it is nearer to `first`
    starts[s] = s == 0 ? 0.0f : static_cast<float>((map[zero + first - 1] + map[zero + first]) * 0.5f * kMiddle);
  }
  for (int s = kSegments; s < kExponents; ++s) slopes[s] = offsets[s] = lasts[s] = 0.0f;
  for (int e = -1; e <= 14; ++e) {
    const int place = (e + 127) % kExponents;
    const double begin = std::ldexp(1.0, e), end = 2 * begin;
    int s = 0;  // the segment at `begin`
    while (s + 1 < kSegments && starts[s + 1] < begin) ++s;
    const bool split = s + 1 < kSegments && starts[s + 1] < end;
    first_segments[place] = s;
    borders[place] = split ? starts[s + 1] : std::numeric_limits<float>::infinity();
  }
}

const StateMap& first_moment_map() {
  static const StateMap map(kDynamicMap, true);
  return map;
}

const StateMap& second_moment_map() {
  static const StateMap map(kDynamicMapUnsigned, false);
  return map;
}

}  // namespace lk::cpu
