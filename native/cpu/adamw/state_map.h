// The maps of 8-bit moments, in the forms that vector code looks them up in.
//
// Codes of values. A value x in [0, 1] falls into bin c = 32768 ... 65535 (dynamic_codes.h); its distance from the middle is
// d = c - 32767.5. Within a decade of the map the values are on a line, and so are their codes: index = round(slope * d +
// offset), and at most `last`. Bins reach down to the fifth decade; the value 1 is a segment of its own. The index is the
// code of the unsigned map, and code - 127 of the signed one, whose negative half mirrors the positive one (it has no -1).
// A test compares every bin of either map with the definition.
#pragma once

#include <cstdint>

#include "cpu/dynamic_codes.h"

namespace lk::cpu {

struct StateMap {
  static constexpr int kSegments = 6, kExponents = 16;

  StateMap(const float* values, bool is_signed);

  bool is_signed;
  DynamicCodes dynamic;  // the definition
  alignas(64) float values[256];
  alignas(64) uint8_t planes[4][256];  // byte b of every value

  // By segment, padded to a vector: a d above starts[s] is in segment s or a later one.
  alignas(64) float starts[16], slopes[16], offsets[16], lasts[16];

  // By exponent: d in [2^e, 2^(e + 1)), e = -1 ... 14, has a place (e + 127) % 16, the low bits of the float's exponent. There a
  // d is in segment first_segments[place], or in the next one if it is above borders[place].
  alignas(64) float borders[kExponents];
  alignas(64) int32_t first_segments[kExponents];
};

const StateMap& first_moment_map();   // signed
const StateMap& second_moment_map();  // unsigned

}  // namespace lk::cpu
