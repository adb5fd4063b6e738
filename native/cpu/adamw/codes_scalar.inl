// Blocks of 8-bit moments, one element at a time, by the definition. Every instruction set has these two.

// out[i] = map[codes[i]] * absmax of a block.
inline void decode_block(const StateMap& map, const uint8_t* codes, float absmax, float* out) {
  for (int i = 0; i < LK_STATE_BLOCK; ++i) out[i] = map.values[codes[i]] * absmax;
}

// codes[i] = the code of values[i] * reciprocal, which is within [-1, 1] but for a rounding. kSigned: of the first moment;
// else no value is negative.
template <bool kSigned>
inline void encode_block(const StateMap& map, const float* values, float reciprocal, uint8_t* codes) {
  for (int i = 0; i < LK_STATE_BLOCK; ++i) codes[i] = map.dynamic.code(values[i] * reciprocal);
}
