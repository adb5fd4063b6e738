// Panels: the right operand of a product, decoded from the weight and laid out for the register tile.
//
//   panel[s][j], s < kPanelSteps, j < kTileColumns: one row of contiguous columns for each step of the sum
//
// A forward product (y = x * W^T) sums over k, and its columns are rows of the weight, so its panels are transposed; a
// transposed product (dx = dy * W) sums over n, and a row of the panel is a piece of a row of the weight:
//
//   ForwardPanels      panel[s][j] = W[column + j, depth + s]
//   TransposedPanels   panel[s][j] = W[depth + s, column + j]
//
// Here stand the builders for any weight. FastPanels of the instruction set is asked first: it builds, and returns
// true, where it has a faster way (4-bit weights whose blocks do not straddle rows). Both give the same values.

constexpr int kPanelElements = kPanelSteps * kTileColumns;

// Whether rows consist of whole blocks, and these of whole steps of the fast builders.
inline bool has_aligned_blocks(const lk_weight& w) {
  return is_4bit(w) && w.block_size >= 64 && w.cols % w.block_size == 0;
}

// panel[s][j] for kLanes columns from column-major rows: out[s * kTileColumns + j] = in[j * kPanelSteps + s], s < steps
// rounded up to kLanes.
inline void transpose_strip(const float* in, int steps, float* out) {
  for (int s = 0; s < steps; s += Simd::kLanes)
    transpose_square(in + s, kPanelSteps, out + s * kTileColumns, kTileColumns);
}

template <typename Product>
class ForwardPanels;
template <typename Product>
class TransposedPanels;

template <>
class ForwardPanels<F32Product> {
 public:
  explicit ForwardPanels(const lk_weight& weight) : weight_(weight), rows_(weight), fast_(weight) {}

  int64_t depth() const { return weight_.cols; }

  // `staging` holds Simd::kLanes * kPanelSteps floats.
  void build(int64_t column, int columns, int64_t depth, int steps, float* panel, float* staging) const {
    if (fast_.build_forward(column, columns, depth, steps, panel)) return;
    for (int first = 0; first < columns; first += Simd::kLanes) {
      for (int j = 0; j < Simd::kLanes; ++j) {
        float* strip_row = staging + j * kPanelSteps;
        const int valid = first + j < columns ? steps : 0;
        if (valid) rows_.read(column + first + j, depth, steps, strip_row);
        std::fill(strip_row + valid, strip_row + (steps + Simd::kLanes - 1) / Simd::kLanes * Simd::kLanes, 0.0f);
      }
      transpose_strip(staging, steps, panel + first);
    }
  }

  // Fetches part `part` of `parts` of what build(column, ..., depth, ...) will read.
  void prefetch(int64_t column, int64_t depth, int part, int parts) const {
    fast_.prefetch_forward(column, depth, part, parts);
  }

 private:
  const lk_weight& weight_;
  WeightRows rows_;
  FastPanels fast_;
};

template <>
class TransposedPanels<F32Product> {
 public:
  explicit TransposedPanels(const lk_weight& weight) : weight_(weight), rows_(weight), fast_(weight) {}

  int64_t depth() const { return weight_.rows; }

  void build(int64_t column, int columns, int64_t depth, int steps, float* panel, float*) const {
    if (fast_.build_transposed(column, columns, depth, steps, panel)) return;
    for (int s = 0; s < steps; ++s) {
      float* panel_row = panel + s * kTileColumns;
      rows_.read(depth + s, column, columns, panel_row);
      std::fill(panel_row + columns, panel_row + kTileColumns, 0.0f);
    }
  }

  void prefetch(int64_t column, int64_t depth, int part, int parts) const {
    fast_.prefetch_transposed(column, depth, part, parts);
  }

 private:
  const lk_weight& weight_;
  WeightRows rows_;
  FastPanels fast_;
};
