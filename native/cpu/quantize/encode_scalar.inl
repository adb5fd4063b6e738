// The inner loops of quantisation in plain C++. See blocks.inl for the interface.

inline uint32_t absmax_bits(const float* x, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, float_bits(x[i]) & 0x7fffffffu);
  return largest;
}

class Encoder {
 public:
  static constexpr int64_t kUnit = 2;

  explicit Encoder(int32_t format) : search_(format) {}
  const CodeSearch& search() const { return search_; }

  void encode(const float* x, int64_t count, const float* reciprocals, int block_shift, uint8_t* packed) const {
    for (int64_t i = 0; i < count; i += 2) {
      const float reciprocal = reciprocals[i >> block_shift];
      const int high = search_.nibble(x[i] * reciprocal), low = search_.nibble(x[i + 1] * reciprocal);
      packed[i >> 1] = static_cast<uint8_t>(high << 4 | low);
    }
  }

 private:
  CodeSearch search_;
};
