// Sums over the rows of a matrix, one for each column, in an order that is a function of the shape alone. Include inside the
// namespace of an instruction set, after its Simd.
//
//   rows      [ part 0 ][ part 1 ] ...        a part is summed in F32, row after row, by one task
//   partial   [ cols   ][ cols   ] ...        parts are then summed in F64, in order, and added to the output
//
// The workspace holds the partial sums; a part has more rows where they would not fit.

class ColumnSums {
 public:
  ColumnSums(Device& device, int64_t rows, int64_t cols)
      : rows_(rows),
        cols_(cols),
        part_rows_(ceil_div(rows, part_limit(rows, cols))),
        parts_(ceil_div(rows, part_rows_)),
        memory_(device, static_cast<size_t>(parts_ * cols) * sizeof(float)) {}

  // Calls body(first, end, sums) for the rows of each part, in parallel: it adds them to sums [cols], which start at 0.
  template <typename Body>
  void for_each_part(const Body& body) const {
    parallel_for(parts_, [&](int64_t part, std::byte*) {
      float* sums = partial(part);
      std::fill_n(sums, cols_, 0.0f);
      body(part * part_rows_, std::min(rows_, (part + 1) * part_rows_), sums);
    });
  }

  // out[c] += the sum of column c
  void add_to(float* out) const {
    constexpr int64_t kTaskColumns = 512;
    parallel_for(ceil_div(cols_, kTaskColumns), [&](int64_t task, std::byte*) {
      const int64_t first = task * kTaskColumns, count = std::min(kTaskColumns, cols_ - first);
      double sums[kTaskColumns];
      std::fill_n(sums, count, 0.0);
      for (int64_t part = 0; part < parts_; ++part) {
        const float* values = partial(part) + first;
        for (int64_t i = 0; i < count; ++i) sums[i] += double{values[i]};
      }
      for (int64_t i = 0; i < count; ++i) out[first + i] = static_cast<float>(double{out[first + i]} + sums[i]);
    });
  }

 private:
  static int64_t part_limit(int64_t rows, int64_t cols) {
    constexpr int64_t kLeastRows = 16, kMostParts = 128;
    const int64_t fitting = static_cast<int64_t>(kMaxWorkspaceBytes / sizeof(float)) / cols;
    return std::max<int64_t>(1, std::min({ceil_div(rows, kLeastRows), kMostParts, fitting}));
  }
  float* partial(int64_t part) const { return reinterpret_cast<float*>(memory_.data()) + part * cols_; }

  int64_t rows_, cols_, part_rows_, parts_;
  Workspace memory_;
};
