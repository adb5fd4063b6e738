// Token embedding: rows of a table, and their gradient.

void embedding(Device&, const lk_tensor& ids, const lk_tensor& table, float scale, const lk_tensor& out) {
  const int32_t* id = at_address<const int32_t>(ids.data);
  const bool copies = scale == 1.0f && table.dtype == out.dtype;
  for_each_run(out.rows, out.cols, [&](int64_t row, int64_t col, int64_t count, float* values) {
    const char* from = element_at(table, id[row], col);
    char* to = element_at(out, row, col);
    if (copies) {
      std::memcpy(to, from, static_cast<size_t>(count * element_bytes(out.dtype)));
      return;
    }
    widen_run(from, table.dtype, count, values);
    for (int64_t i = 0; i < count; ++i) values[i] *= scale;
    narrow_run(values, count, to, out.dtype);
  });
}

// A task owns columns of the table and goes through all tokens in their order: rows of equal ids are summed in that
// order, whatever the number of threads.
void embedding_backward(Device&, const lk_tensor& ids, const lk_tensor& dy, float scale, const lk_tensor& dtable) {
  constexpr int64_t kTaskColumns = 128;
  const int32_t* id = at_address<const int32_t>(ids.data);
  const Simd::F factor = Simd::set1(scale);
  with_format(dy.dtype, [&](auto format) {
    using Values = decltype(format);
    parallel_for(ceil_div(dy.cols, kTaskColumns), [&](int64_t task, std::byte*) {
      const int64_t col = task * kTaskColumns, count = std::min(kTaskColumns, dy.cols - col);
      for (int64_t row = 0; row < dy.rows; ++row) {
        const auto* from = Values::at(dy, row, col);
        float* to = F32::at(dtable, id[row], col);
        for_each_vector(count, [&](int64_t i, auto lanes) {
          const Simd::F sum = F32::load(to + i, lanes);
          F32::store(to + i, Simd::fma(factor, Values::load(from + i, lanes), sum), lanes);
        });
      }
    });
  });
}
