// The maps of 8-bit moments, in the forms that vector code looks them up in.
//
// Codes of values. A value x in [0, 1] falls into bin c = 32768 ... 65535 (dynamic_codes.h); its distance from the middle is
// d = c - 32767.5. Within a decade of the map the values are on a line, and so are their codes: index = round(slope * d +
// offset), and at most `last`. Bins reach down to the fifth decade; the value 1 is a segment of its own. The index is the
// code of the unsigned map, and code - 127 of the signed one, whose negative half mirrors the positive one (it has no -1).
// A test compares every bin of either map with the definition.
#pragma once

#include <cstdint>

namespace lk::cpu {

struct StateMap {
  static constexpr int kSegments = 6, kExponents = 16;

  StateMap(const float* values, bool is_signed);

  bool is_signed;
  alignas(64) float values[256];
  alignas(64) uint8_t planes[4][256];  // byte b of every value

  // By segment, padded to 8: a d above starts[s] is in segment s or a later one.
  alignas(32) float starts[8], slopes[8], offsets[8], lasts[8];

  // By exponent: d in [2^e, 2^(e + 1)), e = -1 ... 14, has a place p = (e + 127) % 32, which is bits 23 ... 27 of the float.
  // A d above borders[p % 16] takes the line at p ^ 16, others the one at p.
  alignas(64) float borders[kExponents], exponent_slopes[2 * kExponents], exponent_offsets[2 * kExponents],
      exponent_lasts[2 * kExponents];
};

const StateMap& first_moment_map();   // signed
const StateMap& second_moment_map();  // unsigned

}  // namespace lk::cpu
