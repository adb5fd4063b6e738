// Quantising blocks to 4 bits, bit for bit as native/README.md says:
//
//   full block   absmax = max |x|,              value = x * (1 / max(absmax, 1e-38))
//   tail block   absmax = max(max |x|, 1e-38),  value = x / absmax            (the last one, where n % block_size != 0)
//   both         nibble = order[#{thresholds < value}]; a NaN makes the absmax of its block NaN
//
// Include inside the namespace of an instruction set, after its Simd, cpu/quantize/search.inl and its
// cpu/quantize/encode_*.inl, which defines
//
//   // Largest |x| as an unsigned integer, an order in which NaN is above infinity; count is a multiple of 32.
//   uint32_t absmax_bits(const float* x, int64_t count);
//
//   class Encoder {
//     static constexpr int64_t kUnit;    // elements that encode takes at once; at most two blocks
//     explicit Encoder(int32_t format);
//     const CodeSearch& search() const;
//     // Nibbles of x[i] * reciprocals[i >> block_shift], packed; count is a multiple of kUnit.
//     void encode(const float* x, int64_t count, const float* reciprocals, int block_shift, uint8_t* packed) const;
//   };

class BlockQuantizer {
 public:
  explicit BlockQuantizer(const lk_weight& out)
      : encoder_(out.format), block_size_(out.block_size), block_shift_(block_shift_of(out)) {}

  int block_shift() const { return block_shift_; }

  // x[0 ... count) starts at the first element of a block; only the end of the tensor may cut a block short. Writes
  // ceil(count / 2) bytes and one absmax for each block.
  void quantize(const float* x, int64_t count, uint8_t* packed, float* absmax) const {
    const int64_t tail = count & (block_size_ - 1), full = count - tail;
    // In steps that stay in the first-level cache between the search for the largest and the encoding, and so short
    // that memory is never idle for long while one is encoded.
    const int64_t step = std::max(kStep, block_size_);
    for (int64_t start = 0; start < full; start += step) {
      quantize_full(x + start, std::min(step, full - start), packed + start / 2, absmax + (start >> block_shift_));
    }
    if (tail) absmax[full >> block_shift_] = quantize_tail(x + full, tail, packed + full / 2);
  }

 private:
  static constexpr float kSmallest = 1e-38f;
  static constexpr int64_t kStep = 1024;

  static float absmax_from_bits(uint32_t bits) {
    return bits > 0x7f800000u ? std::numeric_limits<float>::quiet_NaN() : bits_float(bits);
  }

  // Whole blocks, at most one step.
  void quantize_full(const float* x, int64_t count, uint8_t* packed, float* absmax) const {
    alignas(64) float reciprocals[kStep / kMinBlockSize] = {};
    const int64_t blocks = count >> block_shift_;
    for (int64_t b = 0; b < blocks; ++b) {
      absmax[b] = absmax_from_bits(absmax_bits(x + (b << block_shift_), block_size_));
      reciprocals[b] = absmax[b];
    }
    for (int64_t b = 0; b < blocks; b += Simd::kLanes) {
      // max gives its second operand where that is NaN
      const Simd::F divisor = Simd::max(Simd::set1(kSmallest), Simd::load(reciprocals + b));
      Simd::store(reciprocals + b, Simd::div(Simd::set1(1.0f), divisor));
    }
    const int64_t units = count - count % Encoder::kUnit;
    encoder_.encode(x, units, reciprocals, block_shift_, packed);
    encode_each(x + units, count - units, packed + units / 2,
                [&](float v, int64_t i) { return v * reciprocals[(units + i) >> block_shift_]; });
  }

  float quantize_tail(const float* x, int64_t count, uint8_t* packed) const {
    uint32_t largest = float_bits(kSmallest);
    for (int64_t i = 0; i < count; ++i) largest = std::max(largest, float_bits(x[i]) & 0x7fffffffu);
    const float absmax = absmax_from_bits(largest);
    encode_each(x, count, packed, [&](float v, int64_t) { return v / absmax; });
    return absmax;
  }

  // One by one; an odd count ends with the nibble of zero.
  template <typename Scale>
  void encode_each(const float* x, int64_t count, uint8_t* packed, const Scale& scale) const {
    const CodeSearch& search = encoder_.search();
    for (int64_t i = 0; i < count; i += 2) {
      const int high = search.nibble(scale(x[i], i));
      const int low = search.nibble(i + 1 < count ? scale(x[i + 1], i + 1) : 0.0f);
      packed[i / 2] = static_cast<uint8_t>(high << 4 | low);
    }
  }

  Encoder encoder_;
  int64_t block_size_;
  int block_shift_;
};
