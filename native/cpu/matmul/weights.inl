// What the products know of a weight beyond its values (cpu/weight/decode.inl reads those).

// The two products with a weight: x * W^T, and dy * W.
enum class Direction { kForward, kTransposed };

// A 4-bit weight whose rows are whole blocks of 64 elements or more: what the fast decoders ask for. Every 64 elements
// from a multiple of 64 on have one scale and start at a byte.
class AlignedBlocks {
 public:
  explicit AlignedBlocks(const lk_weight& weight)
      : weight_(weight), scales_(weight), code_(code_book(weight.format)), aligned_(is_aligned(weight)) {
    if (!aligned_) return;
    block_shift_ = __builtin_ctz(static_cast<unsigned>(weight.block_size));
    blocks_per_row_ = weight.cols >> block_shift_;
  }

  static bool is_aligned(const lk_weight& w) { return is_4bit(w) && w.block_size >= 64 && w.cols % w.block_size == 0; }

  bool aligned() const { return aligned_; }
  int64_t rows() const { return weight_.rows; }
  int64_t row_bytes() const { return weight_.cols / 2; }
  const float* code() const { return code_; }
  // The byte of an element of even `col`.
  const uint8_t* at(int64_t row, int64_t col) const {
    return at_address<const uint8_t>(weight_.data) + (row * weight_.cols + col) / 2;
  }
  int64_t blocks_per_row() const { return blocks_per_row_; }
  int64_t block_of(int64_t row, int64_t col) const { return row * blocks_per_row_ + (col >> block_shift_); }
  float scale_of(int64_t block) const { return scales_[block]; }

  // Calls f(first, last, scales) for pieces [first, last) of the columns [begin, end) of a row, in order; the scale of
  // column k is scale_in(scales, k - first). begin is a multiple of the block size, unless all the columns lie
  // in one block.
  template <typename F>
  void for_each_scales(int64_t row, int64_t begin, int64_t end, const F& f) const {
    const int64_t block = block_of(row, begin);
    if (scales_.plain()) return f(begin, end, scales_.plain() + block);
    constexpr int64_t kPieceBlocks = 256;
    float piece[kPieceBlocks];
    for (int64_t first = begin; first < end; first += kPieceBlocks << block_shift_) {
      const int64_t last = std::min(end, first + (kPieceBlocks << block_shift_));
      scales_.copy(block + ((first - begin) >> block_shift_), ceil_div(last - first, int64_t{1} << block_shift_),
                   piece);
      f(first, last, static_cast<const float*>(piece));
    }
  }
  float scale_in(const float* scales, int64_t offset) const { return scales[offset >> block_shift_]; }

  // Fetches part `part` of `parts` of rows [row, row + rows), columns [col, col + columns), and of their scales.
  void prefetch(int64_t row, int64_t rows, int64_t col, int64_t columns, int part, int parts) const {
    if (!aligned_) return;
    rows = std::min(rows, weight_.rows - row);
    columns = std::min(columns, weight_.cols - col);
    for (int64_t i = row + rows * part / parts; i < row + rows * (part + 1) / parts; ++i) {
      prefetch_run(at(i, col), columns / 2);
      prefetch_run(scales_.address(block_of(i, col)), 1);
    }
  }

 private:
  const lk_weight& weight_;
  BlockScales scales_;
  const float* code_;
  bool aligned_;
  int block_shift_ = 0;
  int64_t blocks_per_row_ = 0;
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

// And back.
inline lk_tensor dense_tensor(const lk_weight& w) {
  lk_tensor t{};
  t.data = w.data;
  t.rows = w.rows;
  t.cols = w.cols;
  t.row_stride = w.row_stride;
  t.dtype = w.dtype;
  return t;
}
