// convert and dropout: rows of any stride, split into runs of kRunElements, widened to F32, narrowed once.

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

inline char* element_at(const lk_tensor& t, int64_t row, int64_t column) {
  return at_address<char>(t.data) + (row * t.row_stride + column) * element_bytes(t.dtype);
}

void convert(Device&, const lk_tensor& source, const lk_tensor& out) {
  for_each_run(out.rows, out.cols, [&](int64_t row, int64_t column, int64_t count, float* scratch) {
    const char* from = element_at(source, row, column);
    char* to = element_at(out, row, column);
    if (source.dtype == out.dtype) {
      std::memcpy(to, from, static_cast<size_t>(count * element_bytes(out.dtype)));
      return;
    }
    widen_run(from, source.dtype, count, scratch);
    narrow_run(scratch, count, to, out.dtype);
  });
}

void dropout(Device&, const lk_tensor& x, const lk_lora& lora, const lk_tensor& out) {
  const DropoutMask mask = DropoutMask::of(lora.dropout, lora.seed, lora.step);
  for_each_run(out.rows, out.cols, [&](int64_t row, int64_t column, int64_t count, float* scratch) {
    float* values = scratch;
    float* factors = scratch + kRunElements;
    widen_run(element_at(x, row, column), x.dtype, count, values);
    if (mask.active()) {
      dropout_factors(mask, row, column, count, factors);
      for (int64_t i = 0; i < count; ++i) values[i] *= factors[i];
    }
    narrow_run(values, count, element_at(out, row, column), out.dtype);
  });
}
