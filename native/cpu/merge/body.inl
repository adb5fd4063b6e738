// merge and merge_quantized: W + sign * scaling * B * A, added up in F32.
//
// The sum over the rank runs in ascending order, is scaled afterwards and then added to the weight: the order of the
// reference implementation, so that adapters merge to the same floats. One tile of columns of A is widened to F32 and
// serves all rows of a rectangle; the inner loop keeps kTileRows x kTileVectors sums in registers:
//
//                        A tile [rank, kTileCols]   |..a0 a1..|    a0, a1: vectors of columns of rank index r
//   B [N, rank]   | b |                             +---------+
//                 | b |      W, decoded into `out`  |  s  s   |    s += b * a for every r, then out += factor * s
//                 | b |                             |  s  s   |
//
// Needs cpu/quantize/pieces.inl and cpu/weight/decode.inl.

class Merge {
  static constexpr int64_t kMaxRank = 256, kTileCols = 128;
  static constexpr int kTileRows = 4, kTileVectors = 2;

 public:
  Merge(const lk_weight& weight, const lk_lora& lora, float sign)
      : rows_(weight), cols_(weight.cols), lora_(lora), factor_(sign * lora.scaling) {}

  // What a task needs of its thread's scratch memory.
  struct Scratch {
    alignas(64) float result[kTaskElements];
    float a[kMaxRank * kTileCols];
    float b[kTileRows * kMaxRank];
  };

  // out[i * stride + j] = merged[row + i, col + j] for i < rows, j < cols.
  void rectangle(int64_t row, int64_t rows, int64_t col, int64_t cols, Scratch& scratch, float* out,
                 int64_t stride) const {
    for (int64_t j = 0; j < cols; j += kTileCols) {
      const int64_t width = std::min(kTileCols, cols - j);
      widen_a(col + j, width, scratch.a);
      int64_t i = 0;
      for (; i + kTileRows <= rows; i += kTileRows) {
        tile<kTileRows>(row + i, col + j, width, scratch, out + i * stride + j, stride);
      }
      for (; i < rows; ++i) tile<1>(row + i, col + j, width, scratch, out + i * stride + j, stride);
    }
  }

  // scratch.result[i] = element `element + i` of the merged matrix, flattened: the end of a row, whole rows, the start
  // of a row.
  const float* flat(int64_t element, int64_t count, Scratch& scratch) const {
    int64_t row = element / cols_;
    float* out = scratch.result;
    if (const int64_t col = element % cols_) {
      const int64_t run = std::min(count, cols_ - col);
      rectangle(row++, 1, col, run, scratch, out, run);
      out += run;
      count -= run;
    }
    const int64_t rows = count / cols_, rest = count % cols_;
    rectangle(row, rows, 0, cols_, scratch, out, cols_);
    if (rest) rectangle(row + rows, 1, 0, rest, scratch, out + rows * cols_, rest);
    return scratch.result;
  }

 private:
  // a[r][j] = A[r, col + j] for j < width, zero up to a whole number of vectors.
  void widen_a(int64_t col, int64_t width, float* a) const {
    const lk_tensor& t = lora_.a;
    for (int64_t r = 0; r < t.rows; ++r) {
      const int64_t offset = (r * t.row_stride + col) * element_bytes(t.dtype);
      widen_run(at_address<const char>(t.data) + offset, t.dtype, width, a + r * kTileCols);
      std::fill(a + r * kTileCols + width, a + (r + 1) * kTileCols, 0.0f);
    }
  }

  // kRows rows of W, decoded, and what the adapter adds to them.
  template <int kRows>
  void tile(int64_t row, int64_t col, int64_t width, Scratch& scratch, float* out, int64_t stride) const {
    const lk_tensor& t = lora_.b;
    for (int i = 0; i < kRows; ++i) {
      rows_.read(row + i, col, width, out + i * stride);
      const int64_t offset = (row + i) * t.row_stride * element_bytes(t.dtype);
      widen_run(at_address<const char>(t.data) + offset, t.dtype, t.cols, scratch.b + i * kMaxRank);
    }
    for (int64_t j = 0; j < width; j += kTileVectors * Simd::kLanes) {
      add_delta<kRows>(scratch.a + j, scratch.b, out + j, stride, width - j);
    }
  }

  // out[i * stride + j] += factor * sum over r of b[i][r] * a[r][j], for kTileVectors vectors of columns; `width`
  // columns exist.
  template <int kRows>
  void add_delta(const float* a, const float* b, float* out, int64_t stride, int64_t width) const {
    Simd::F sums[kRows][kTileVectors];
    for (auto& row : sums) {
      for (Simd::F& sum : row) sum = Simd::zero();
    }
    for (int64_t r = 0; r < lora_.a.rows; ++r) {
      for (int v = 0; v < kTileVectors; ++v) {
        const Simd::F column = Simd::load(a + r * kTileCols + v * Simd::kLanes);
        for (int i = 0; i < kRows; ++i) {
          sums[i][v] = Simd::fma(Simd::set1(b[i * kMaxRank + r]), column, sums[i][v]);
        }
      }
    }
    for (int i = 0; i < kRows; ++i) {
      for (int v = 0; v < kTileVectors; ++v) {
        const int64_t left = width - v * Simd::kLanes;
        const int lanes = static_cast<int>(std::max<int64_t>(0, std::min<int64_t>(left, Simd::kLanes)));
        float* to = out + i * stride + v * Simd::kLanes;
        const Simd::F delta = Simd::mul(Simd::set1(factor_), sums[i][v]);
        Simd::store_partial(to, Simd::add(Simd::load_partial(to, lanes), delta), lanes);
      }
    }
  }

  WeightRows rows_;
  int64_t cols_;
  const lk_lora& lora_;
  float factor_;
};

static_assert(sizeof(Merge::Scratch) <= kScratchBytes, "the scratch memory of a thread holds what a task needs");

void merge(Device&, const lk_weight& weight, const lk_lora& lora, float sign, const lk_tensor& out) {
  const Merge merged(weight, lora, sign);
  const int64_t cols_per_task = std::min(out.cols, kTaskElements), rows_per_task = kTaskElements / cols_per_task;
  const int64_t tasks_per_row = ceil_div(out.cols, cols_per_task);
  parallel_for(ceil_div(out.rows, rows_per_task) * tasks_per_row, [&](int64_t task, std::byte* memory) {
    const int64_t row = task / tasks_per_row * rows_per_task, rows = std::min(rows_per_task, out.rows - row);
    const int64_t col = task % tasks_per_row * cols_per_task, cols = std::min(cols_per_task, out.cols - col);
    auto& scratch = *reinterpret_cast<Merge::Scratch*>(memory);
    merged.rectangle(row, rows, col, cols, scratch, scratch.result, cols);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t offset = ((row + i) * out.row_stride + col) * element_bytes(out.dtype);
      narrow_run(scratch.result + i * cols, cols, at_address<char>(out.data) + offset, out.dtype);
    }
  });
}

void merge_quantized(Device& device, const lk_weight& weight, const lk_lora& lora, float sign, lk_weight& out) {
  const Merge merged(weight, lora, sign);
  quantize_pieces(device, out, kTaskElements, [&](int64_t element, int64_t count, float* memory) {
    return merged.flat(element, count, *reinterpret_cast<Merge::Scratch*>(memory));
  });
}
