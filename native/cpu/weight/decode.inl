// Weights as F32, whatever their storage: dense in any float format, or 4 bits with one or two levels of scales, blocks
// that straddle rows, and runs that start in the middle of a byte.
//
// All codes of a block share one scale, so the sixteen products code * scale are formed (and rounded) once, and every
// element is a lookup of its nibble in this scaled table:
//
//   packed byte   | 2i | 2i+1 |     high nibble = even element
//                    |     |
//   scaled table  [ code[0] * scale, code[1] * scale, ... code[15] * scale ]
//
// Include inside the namespace of an instruction set, after its Simd, cpu/simd/io.inl and its cpu/weight/lookup_*.inl,
// which defines, for float and for uint16_t (BF16 or F16 tables):
//
//   // out[i] = table[nibble of element `element + i`]; `packed` is the byte of element 0
//   void lookup_run(const uint8_t* packed, int64_t element, int64_t count, const T* table, T* out);

// table[i] = code[i] * scale
inline void scaled_table(const float* code, float scale, float* table) {
  const Simd::F factor = Simd::set1(scale);
  for (int i = 0; i < 16; i += Simd::kLanes) Simd::store(table + i, Simd::mul(Simd::load(code + i), factor));
}

// table[i] = code[i] * scale in F32, rounded once to `dtype`, BF16 or F16.
inline void scaled_table(const float* code, float scale, int32_t dtype, uint16_t* table) {
  const Simd::F factor = Simd::set1(scale);
  for (int i = 0; i < 16; i += Simd::kLanes) {
    const Simd::F product = Simd::mul(Simd::load(code + i), factor);
    if (dtype == LK_BF16) {
      Simd::store_bf16(table + i, product);
    } else {
      Simd::store_f16(table + i, product);
    }
  }
}

// out[i] = code[nibble of element `element + i`] * scale
inline void decode_run(const uint8_t* packed, int64_t element, int64_t count, const float* code, float scale,
                       float* out) {
  alignas(64) float table[16];
  scaled_table(code, scale, table);
  lookup_run(packed, element, count, table, out);
}

// Splits elements [element, element + count) of a 4-bit weight at its block boundaries: f(block, element, count).
template <typename F>
void for_each_block_run(int64_t element, int64_t count, int block_shift, const F& f) {
  while (count > 0) {
    const int64_t block = element >> block_shift;
    const int64_t run = std::min(count, ((block + 1) << block_shift) - element);
    f(block, element, run);
    element += run;
    count -= run;
  }
}

inline int block_shift_of(const lk_weight& weight) {
  return __builtin_ctz(static_cast<unsigned>(weight.block_size));
}

// Reads runs of rows of a weight.
class WeightRows {
 public:
  explicit WeightRows(const lk_weight& weight) : weight_(weight), scales_(weight) {
    if (is_4bit(weight)) block_shift_ = block_shift_of(weight);
  }

  // out[i] = W[row, col + i]
  void read(int64_t row, int64_t col, int64_t count, float* out) const {
    if (!is_4bit(weight_)) {
      const int64_t offset = (row * weight_.row_stride + col) * element_bytes(weight_.dtype);
      widen_run(at_address<const char>(weight_.data) + offset, weight_.dtype, count, out);
      return;
    }
    const uint8_t* packed = at_address<const uint8_t>(weight_.data);
    const float* code = code_book(weight_.format);
    const int64_t start = row * weight_.cols + col;
    for_each_block_run(start, count, block_shift_, [&](int64_t block, int64_t element, int64_t run) {
      decode_run(packed, element, run, code, scales_[block], out + (element - start));
    });
  }

 private:
  const lk_weight& weight_;
  BlockScales scales_;
  int block_shift_ = 0;
};
