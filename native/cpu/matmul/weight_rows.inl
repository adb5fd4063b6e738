// Rows of a weight as F32, whatever its storage: dense in any float format, or 4 bits with one or two levels of
// scales, blocks that straddle rows, and rows that start in the middle of a byte. Needs decode_run of the instruction
// set:
//
//   // out[i] = code[nibble of flattened element `element + i`] * scale
//   void decode_run(const uint8_t* packed, int64_t element, int64_t count, const float* code, float scale, float* out);

class WeightRows {
 public:
  explicit WeightRows(const lk_weight& weight) : weight_(weight), scales_(weight) {
    if (is_4bit(weight)) block_shift_ = __builtin_ctz(static_cast<unsigned>(weight.block_size));
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
    int64_t element = row * weight_.cols + col;
    while (count > 0) {
      const int64_t block = element >> block_shift_;
      const int64_t run = std::min(count, ((block + 1) << block_shift_) - element);
      decode_run(packed, element, run, code, scales_[block], out);
      element += run;
      out += run;
      count -= run;
    }
  }

 private:
  const lk_weight& weight_;
  BlockScales scales_;
  int block_shift_ = 0;
};

// A dense tensor as a weight of the same shape: adapters go through the same products as the weight that they adapt.
inline lk_weight dense_weight(const lk_tensor& t) {
  lk_weight w{};
  w.rows = t.rows;
  w.cols = t.cols;
  w.data = t.data;
  w.row_stride = t.row_stride;
  w.format = LK_DENSE;
  w.dtype = t.dtype;
  return w;
}
