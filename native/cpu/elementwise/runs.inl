// Runs of elements: rows of any stride, split where they are longer than kRunElements. Include inside the namespace of an
// instruction set, after its Simd and cpu/simd/format.inl.

constexpr int64_t kRunElements = 16384;  // 64 KiB of F32: two buffers fit a thread's scratch

// Calls body(row, column, count, scratch) for runs that cover [rows, cols], in parallel.
template <typename Body>
void for_each_run(int64_t rows, int64_t cols, const Body& body) {
  const int64_t runs_per_row = ceil_div(cols, kRunElements);
  const int64_t rows_per_task = std::max<int64_t>(1, kRunElements / cols);
  if (runs_per_row > 1) {
    parallel_for(rows * runs_per_row, [&](int64_t index, std::byte* scratch) {
      const int64_t column = index % runs_per_row * kRunElements;
      body(index / runs_per_row, column, std::min(kRunElements, cols - column), reinterpret_cast<float*>(scratch));
    });
    return;
  }
  parallel_for(ceil_div(rows, rows_per_task), [&](int64_t index, std::byte* scratch) {
    const int64_t end = std::min(rows, (index + 1) * rows_per_task);
    for (int64_t row = index * rows_per_task; row < end; ++row) body(row, 0, cols, reinterpret_cast<float*>(scratch));
  });
}

// out = op(in ...), element by element; all of the shape and dtype of out, which may be one of them.
template <typename Op, typename... In>
void map_elements(const lk_tensor& out, const Op& op, const In&... in) {
  with_format(out.dtype, [&](auto format) {
    using Values = decltype(format);
    for_each_run(out.rows, out.cols, [&](int64_t row, int64_t col, int64_t count, float*) {
      auto* to = Values::at(out, row, col);
      for_each_vector(count, [&](int64_t i, auto lanes) {
        Values::store(to + i, op(Values::load(Values::at(in, row, col) + i, lanes)...), lanes);
      });
    });
  });
}
