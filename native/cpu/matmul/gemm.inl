// The blocked product behind matmul, its transposed and every LoRA term of the size of x or y:
//
//   out [rows, columns] = scale * (sum of terms) + bias,  a term: x [rows, depth] * panels(weight) [depth, columns]
//
// The output is cut into blocks, one task each. A task holds the F32 sums of its block in its scratch, so nothing is
// shared between tasks and no memory is taken:
//
//   for each term, for each slice of kPanelSteps elements of depth:
//     left = x[rows of the block, slice]        in place, or a copy, widened and with dropout       L2
//     for each tile of kTileColumns columns:
//       panel = weight[slice, tile]             decoded once for all rows of the block              L1
//       for each kTileRows rows: sums[tile] += left * panel                                         registers
//                                               meanwhile the memory of the next panel is fetched   L2
//
// An element of the output is summed in the order of terms and depth, however the output is cut.

constexpr int kBlockTiles = kBlockColumns / kTileColumns;

// How a task lays out its scratch.
struct alignas(64) GemmScratch {
  float sums[kBlockTiles][kBlockRows][kTileColumns];
  float left[kBlockRows * kPanelSteps];  // of 4-byte elements of a Product
  float panel[kPanelElements];
  float staging[kPanelElements + kStripElements];
  float row[kBlockColumns];
};
static_assert(sizeof(GemmScratch) <= kScratchBytes, "a task must fit into its scratch");

// The part of the output that a task owns, and its sums.
class OutputBlock {
 public:
  OutputBlock(int64_t row, int rows, int64_t column, int columns, GemmScratch& scratch)
      : row_(row), column_(column), rows_(rows), columns_(columns), scratch_(scratch) {
    for (int t = 0; t < tiles(); ++t) std::fill_n(scratch.sums[t][0], rows * kTileColumns, 0.0f);
  }

  // sums += (dropout ∘ x) * panels
  template <typename Product, typename Panels>
  void add_product(const lk_tensor& x, const Dropout& dropout, const Panels& panels) {
    add_product_of<Product>(LeftRows<Product>(x, dropout), panels);
  }

  // sums += t^T * panels
  template <typename Product, typename Panels>
  void add_transposed_product(const lk_tensor& t, const Panels& panels) {
    add_product_of<Product>(LeftColumns<Product>(t), panels);
  }

  // sums += out
  void add_matrix(const lk_tensor& out) {
    for (int i = 0; i < rows_; ++i) {
      read_row(out, row_ + i, column_, columns_, scratch_.row);
      for (int t = 0; t < tiles(); ++t) {
        const float* values = scratch_.row + t * kTileColumns;
        for (int j = 0; j < tile_columns(t); ++j) scratch_.sums[t][i][j] += values[j];
      }
    }
  }

  // sums = dropout ∘ sums
  void apply_dropout(const Dropout& dropout) {
    for (int t = 0; t < tiles(); ++t) {
      for (int i = 0; i < rows_; ++i) {
        dropout.apply(row_ + i, column_ + t * kTileColumns, tile_columns(t), scratch_.sums[t][i]);
      }
    }
  }

  // out = scale * sums + bias
  void store(const lk_tensor& out, float scale, const lk_tensor* bias) {
    if (bias) read_row(*bias, 0, column_, columns_, scratch_.row);
    for (int i = 0; i < rows_; ++i) {
      for (int t = 0; t < tiles(); ++t) {
        float* sums = scratch_.sums[t][i];
        const float* bias_part = bias ? scratch_.row + t * kTileColumns : nullptr;
        for (int j = 0; j < tile_columns(t); ++j) sums[j] = scale * sums[j] + (bias_part ? bias_part[j] : 0.0f);
        write_row(out, row_ + i, column_ + t * kTileColumns, tile_columns(t), sums);
      }
    }
  }

 private:
  int tiles() const { return (columns_ + kTileColumns - 1) / kTileColumns; }
  int tile_columns(int t) const { return std::min(kTileColumns, columns_ - t * kTileColumns); }

  // sums += left * panels
  template <typename Product, typename Left, typename Panels>
  void add_product_of(const Left& left_rows, const Panels& panels) {
    using Element = typename Product::Element;
    constexpr int64_t kSlice = int64_t{kPanelSteps} * Product::kDepth;
    Element* panel = reinterpret_cast<Element*>(scratch_.panel);
    for (int64_t depth = 0; depth < panels.depth(); depth += kSlice) {
      const int length = static_cast<int>(std::min(kSlice, panels.depth() - depth));
      const LeftOperand<Element> left =
          left_rows.slice(row_, rows_, depth, length, reinterpret_cast<Element*>(scratch_.left));
      for (int t = 0; t < tiles(); ++t) {
        panels.build(column_ + t * kTileColumns, tile_columns(t), depth, length, panel, scratch_.staging);
        const bool last = t + 1 == tiles();
        const int64_t next_column = last ? column_ : column_ + (t + 1) * kTileColumns;
        const int64_t next_depth = last ? depth + kSlice : depth;
        multiply<Product>(left, panel, Product::steps(length), t, [&](int part, int parts) {
          if (next_depth < panels.depth()) panels.prefetch(next_column, next_depth, kSlice, part, parts);
          if (t != 0) return;
          const int first = part * kTileRows, rows = std::min(kTileRows, rows_ - first);
          left_rows.prefetch(row_ + first, rows, depth + kSlice, std::min(depth + 2 * kSlice, panels.depth()));
        });
      }
    }
  }

  // sums[t] += left * panel
  template <typename Product, typename Prefetch>
  void multiply(const LeftOperand<typename Product::Element>& left, const typename Product::Element* panel, int steps,
                int t, const Prefetch& prefetch) {
    const int vectors = (tile_columns(t) + Simd::kLanes - 1) / Simd::kLanes;
    const int parts = (rows_ + kTileRows - 1) / kTileRows;
    for (int part = 0; part < parts; ++part) {
      const int i = part * kTileRows;
      prefetch(part, parts);
      const auto kernel = TileKernels<Product>::kernel(std::min(kTileRows, rows_ - i), vectors);
      kernel(steps, left.data + i * left.row_stride, left.row_stride, left.step_stride, panel, scratch_.sums[t][i]);
    }
  }

  const int64_t row_, column_;
  const int rows_, columns_;
  GemmScratch& scratch_;
};

// Rows of a block: as many as fit, evenly spread, fewer where the output has too few columns to give every core a
// task. A function of the shape alone.
inline int64_t block_rows(int64_t rows, int64_t column_blocks) {
  constexpr int64_t kEnoughTasks = 16;
  const int64_t fitting = ceil_div(rows, kBlockRows);
  const int64_t wanted = ceil_div(kEnoughTasks, std::max<int64_t>(column_blocks, 1));
  const int64_t tiles = ceil_div(rows, kTileRows);
  return ceil_div(tiles, std::min(tiles, std::max(fitting, wanted))) * kTileRows;
}

// out = scale * (what add_terms(OutputBlock&) adds) + bias
template <typename AddTerms>
void gemm(const lk_tensor& out, float scale, const lk_tensor* bias, const AddTerms& add_terms) {
  if (out.rows == 0) return;
  const int64_t column_blocks = ceil_div(out.cols, kBlockColumns);
  const int64_t rows = block_rows(out.rows, column_blocks);
  parallel_for(column_blocks * ceil_div(out.rows, rows), [&](int64_t index, std::byte* scratch) {
    const int64_t row = index / column_blocks * rows, column = index % column_blocks * kBlockColumns;
    OutputBlock block(row, static_cast<int>(std::min(rows, out.rows - row)), column,
                      static_cast<int>(std::min<int64_t>(kBlockColumns, out.cols - column)),
                      *reinterpret_cast<GemmScratch*>(scratch));
    add_terms(block);
    block.store(out, scale, bias);
  });
}
