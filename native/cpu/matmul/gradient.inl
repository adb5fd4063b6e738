// The gradients of an adapter: products that sum over tokens.
//
//   out [P, Q] += left^T [P, M] * (dropout ∘ right) [M, Q]            out F32, left and right in any float format
//
// A row of `left` holds kTileRows neighbouring columns of the left operand, so the register tile takes it as it is
// (a_row = 1); a row of `right` is a row of a panel. One task owns kGradientRows x kTileColumns of the output.

constexpr int kGradientRows = 16 * kTileRows;

struct alignas(64) GradientScratch {
  float sums[kGradientRows][kTileColumns];
  float left[kPanelSteps][kGradientRows];
  float panel[kPanelSteps][kTileColumns];
};
static_assert(sizeof(GradientScratch) <= kScratchBytes, "a task must fit into its scratch");

inline void add_token_product(const lk_tensor& left, const lk_tensor& right, const Dropout& dropout,
                              const lk_tensor& out) {
  const int64_t row_blocks = ceil_div(out.rows, kGradientRows);
  parallel_for(row_blocks * ceil_div(out.cols, kTileColumns), [&](int64_t index, std::byte* memory) {
    GradientScratch& scratch = *reinterpret_cast<GradientScratch*>(memory);
    const int64_t row = index % row_blocks * kGradientRows, column = index / row_blocks * kTileColumns;
    const int rows = static_cast<int>(std::min<int64_t>(kGradientRows, out.rows - row));
    const int columns = static_cast<int>(std::min<int64_t>(kTileColumns, out.cols - column));
    const int vectors = (columns + Simd::kLanes - 1) / Simd::kLanes;
    for (int i = 0; i < rows; ++i) {
      std::fill(scratch.sums[i], scratch.sums[i] + kTileColumns, 0.0f);
      read_row(out, row + i, column, columns, scratch.sums[i]);
    }
    for (int64_t token = 0; token < left.rows; token += kPanelSteps) {
      const int steps = static_cast<int>(std::min<int64_t>(kPanelSteps, left.rows - token));
      for (int s = 0; s < steps; ++s) {
        read_row(left, token + s, row, rows, scratch.left[s]);
        read_row(right, dropout, token + s, column, columns, scratch.panel[s]);
        std::fill(scratch.panel[s] + columns, scratch.panel[s] + kTileColumns, 0.0f);
      }
      for (int i = 0; i < rows; i += kTileRows) {
        TileKernels<F32Product>::kernel(std::min(kTileRows, rows - i), vectors)(
            steps, &scratch.left[0][i], 1, kGradientRows, &scratch.panel[0][0], scratch.sums[i]);
      }
    }
    for (int i = 0; i < rows; ++i) write_row(out, row + i, column, columns, scratch.sums[i]);
  });
}
