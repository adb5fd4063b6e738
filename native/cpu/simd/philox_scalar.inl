// One Philox group at a time; see dropout.inl.

constexpr int kPhiloxGroups = 1;

inline void philox_factors(const DropoutMask& mask, int64_t row, int64_t group, float* factors) {
  const Philox4 words = mask.words(row, group);
  for (int j = 0; j < 4; ++j) factors[j] = words.word[j] >= mask.threshold ? mask.scale : 0.0f;
}
