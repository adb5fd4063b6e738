// The left operand of a product, by blocks of rows and slices of its depth, as the register tile takes them: in place where
// that can be, a copy in scratch [kBlockRows * kPanelSteps] otherwise.

// Rows of (dropout ∘ x): depth runs along a row.
template <typename Product>
class LeftRows {
  using Element = typename Product::Element;

 public:
  LeftRows(const lk_tensor& x, const Dropout& dropout) : x_(x), dropout_(dropout) {}

  // Rows [row, row + rows), columns [depth, depth + length).
  LeftOperand<Element> slice(int64_t row, int rows, int64_t depth, int length, Element* copy) const {
    if (!dropout_.active() && Product::takes_in_place(x_, length)) return Product::in_place(x_, row, depth);
    for (int i = 0; i < rows; ++i) Product::pack_row(x_, dropout_, row + i, depth, length, copy + i * kPanelSteps);
    return {copy, kPanelSteps};
  }

  // Fetches columns [depth, end) of rows [row, row + rows).
  void prefetch(int64_t row, int rows, int64_t depth, int64_t end) const {
    if (depth >= end) return;
    for (int i = 0; i < rows; ++i)
      prefetch_run(element_at(x_, row + i, depth), (end - depth) * element_bytes(x_.dtype));
  }

 private:
  const lk_tensor& x_;
  const Dropout& dropout_;
};

// Rows of t^T: depth runs down the rows of t, and neighbouring rows of the operand lie side by side.
template <typename Product>
class LeftColumns {
  using Element = typename Product::Element;

 public:
  explicit LeftColumns(const lk_tensor& t) : t_(t) {}

  LeftOperand<Element> slice(int64_t row, int rows, int64_t depth, int length, Element* copy) const {
    for (int s = 0; s < Product::steps(length); ++s) {
      Product::pack_columns(t_, depth + s * Product::kDepth, row, rows, copy + s * kBlockRows);
    }
    return {copy, 1, kBlockRows};
  }

  // Runs of a few elements in many rows, which the copy reads in order: nothing to gain.
  void prefetch(int64_t, int, int64_t, int64_t) const {}

 private:
  const lk_tensor& t_;
};
