// factors[i] = the dropout factor of element (row, column + i): 0 or 1 / (1 - rate); see DropoutMask. Include inside the
// namespace of an instruction set. philox_words comes from philox_*.inl: kPhiloxGroups groups of four words at once.

inline void dropout_factors(const DropoutMask& mask, int64_t row, int64_t column, int64_t count, float* factors) {
  int64_t i = 0;
  // up to the next group of four columns
  for (; i < count && ((column + i) & 3) != 0; ++i) factors[i] = mask.factor(row, column + i);
  for (; i + 4 * kPhiloxGroups <= count; i += 4 * kPhiloxGroups) {
    philox_factors(mask, row, (column + i) / 4, factors + i);
  }
  for (; i < count; i += 4) {
    const Philox4 words = mask.words(row, (column + i) / 4);
    for (int64_t j = 0; j < 4 && i + j < count; ++j) {
      factors[i + j] = words.word[j] >= mask.threshold ? mask.scale : 0.0f;
    }
  }
}
