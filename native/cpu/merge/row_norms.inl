// row_norms: the rows of a merged weight in slices that stay in a thread's scratch, squared and summed in F64. Include after
// body.inl.

inline double sum_of_squares(const float* values, int64_t count) {
  Simd::D sums[2] = {Simd::zero_d(), Simd::zero_d()};
  int64_t i = 0;
  for (; i + Simd::kLanes <= count; i += Simd::kLanes) {
    Simd::D& sum = sums[i / Simd::kLanes % 2];
    sum = Simd::add_squares(sum, Simd::load(values + i));
  }
  if (i < count) sums[0] = Simd::add_squares(sums[0], Simd::load_partial(values + i, static_cast<int>(count - i)));
  return Simd::sum(sums[0]) + Simd::sum(sums[1]);
}

// Calls slice(row, rows, col, cols, scratch), which fills scratch.result [rows, cols], for slices of [rows, cols] in the
// order of the columns, and writes the norm of each row.
template <typename Slice>
void norms_of_slices(int64_t rows, int64_t cols, const Slice& slice, float* norms) {
  constexpr int64_t kTaskRows = 16, kSliceCols = kTaskElements / kTaskRows;
  parallel_for(ceil_div(rows, kTaskRows), [&](int64_t task, std::byte* memory) {
    auto& scratch = *reinterpret_cast<Merge::Scratch*>(memory);
    const int64_t row = task * kTaskRows, count = std::min(kTaskRows, rows - row);
    double sums[kTaskRows] = {};
    for (int64_t col = 0; col < cols; col += kSliceCols) {
      const int64_t width = std::min(kSliceCols, cols - col);
      slice(row, count, col, width, scratch);
      for (int64_t i = 0; i < count; ++i) sums[i] += sum_of_squares(scratch.result + i * width, width);
    }
    for (int64_t i = 0; i < count; ++i) norms[row + i] = static_cast<float>(std::sqrt(sums[i]));
  });
}

void row_norms(Device&, const lk_weight& weight, const lk_lora* lora, const lk_tensor& out) {
  float* norms = at_address<float>(out.data);
  if (lora) {
    const Merge merged(weight, *lora, 1.0f);
    norms_of_slices(
        weight.rows, weight.cols,
        [&](int64_t row, int64_t rows, int64_t col, int64_t cols, Merge::Scratch& scratch) {
          merged.rectangle(row, rows, col, cols, scratch, scratch.result, cols);
        },
        norms);
    return;
  }
  const WeightRows values(weight);
  norms_of_slices(
      weight.rows, weight.cols,
      [&](int64_t row, int64_t rows, int64_t col, int64_t cols, Merge::Scratch& scratch) {
        for (int64_t i = 0; i < rows; ++i) values.read(row + i, col, cols, scratch.result + i * cols);
      },
      norms);
}
