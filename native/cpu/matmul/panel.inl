// Panels: the right operand of a product, decoded from the weight and laid out for the register tile.
//
//   panel[s][j], s < kPanelSteps, j < kTileColumns: one row of neighbouring columns for each step of the sum
//
// A forward product (y = x * W^T) sums over k and its columns are rows of the weight, so its panels are transposed; a
// transposed product (dx = dy * W) sums over n, and a row of its panels is a piece of a row of the weight:
//
//   kForward       panel[s][j] = W[column + j, depth + s]
//   kTransposed    panel[s][j] = W[depth + s, column + j]
//
// Here stand the builders for any weight. FastPanels of the instruction set is asked first: it builds, and returns
// true, where it has a faster way (4-bit weights whose blocks do not straddle rows). Both give the same values.

constexpr int kPanelElements = kPanelSteps * kTileColumns;
constexpr int kStripElements = Simd::kLanes * kPanelSteps;

template <typename Product, Direction kDirection>
class Panels;

template <Direction kDirection>
class Panels<F32Product, kDirection> {
 public:
  explicit Panels(const lk_weight& weight) : weight_(weight), rows_(weight), fast_(weight) {}

  // Elements of the sum.
  int64_t depth() const { return kDirection == Direction::kForward ? weight_.cols : weight_.rows; }

  // Builds `columns` columns and `length` steps; `strip` holds kStripElements.
  void build(int64_t column, int columns, int64_t depth, int length, float* panel, float* strip) const {
    if (fast_.template build<kDirection>(column, columns, depth, length, panel)) return;
    if constexpr (kDirection == Direction::kForward) {
      for (int first = 0; first < columns; first += Simd::kLanes) {
        read_strip(column + first, std::min(columns - first, Simd::kLanes), depth, length, strip);
        for (int s = 0; s < length; s += Simd::kLanes) {
          transpose_square(strip + s, kPanelSteps, panel + s * kTileColumns + first, kTileColumns);
        }
      }
    } else {
      for (int s = 0; s < length; ++s, panel += kTileColumns) {
        rows_.read(depth + s, column, columns, panel);
        std::fill(panel + columns, panel + kTileColumns, 0.0f);
      }
    }
  }

  // Fetches part `part` of `parts` of what build(column, kTileColumns, depth, length, ...) will read.
  void prefetch(int64_t column, int64_t depth, int length, int part, int parts) const {
    if constexpr (kDirection == Direction::kForward) {
      fast_.prefetch(column, kTileColumns, depth, length, part, parts);
    } else {
      fast_.prefetch(depth, length, column, kTileColumns, part, parts);
    }
  }

 private:
  // strip[j][s] = W[row + j, depth + s]; rows from `rows` on, and steps up to a whole vector, are 0.
  void read_strip(int64_t row, int rows, int64_t depth, int length, float* strip) const {
    const int padded = (length + Simd::kLanes - 1) / Simd::kLanes * Simd::kLanes;
    for (int j = 0; j < Simd::kLanes; ++j, strip += kPanelSteps) {
      const int valid = j < rows ? length : 0;
      if (valid > 0) rows_.read(row + j, depth, length, strip);
      std::fill(strip + valid, strip + padded, 0.0f);
    }
  }

  const lk_weight& weight_;
  WeightRows rows_;
  FastPanels fast_;
};
