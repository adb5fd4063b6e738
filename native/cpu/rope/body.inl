// Rotary embedding in place; the header has the formula. A row of x is one token: its heads share cosines and sines.

void rope(Device&, const lk_tensor& x, int64_t head_dim, const lk_tensor& position_ids, const lk_tensor& cos,
          const lk_tensor& sin, int32_t direction) {
  constexpr int64_t kTaskElements = 16384;
  const int64_t rows_per_task = std::max<int64_t>(1, kTaskElements / x.cols), half = head_dim / 2;
  const int32_t* positions = at_address<const int32_t>(position_ids.data);
  const Simd::F sign = Simd::set1(static_cast<float>(direction));
  with_format(x.dtype, [&](auto format) {
    using Values = decltype(format);
    parallel_for(ceil_div(x.rows, rows_per_task), [&](int64_t task, std::byte*) {
      const int64_t end = std::min(x.rows, (task + 1) * rows_per_task);
      for (int64_t row = task * rows_per_task; row < end; ++row) {
        const float *row_cos = F32::at(cos, positions[row], 0), *row_sin = F32::at(sin, positions[row], 0);
        for (int64_t col = 0; col < x.cols; col += head_dim) {
          auto *first = Values::at(x, row, col), *second = first + half;
          for_each_vector(half, [&](int64_t i, auto lanes) {
            const Simd::F c = F32::load(row_cos + i, lanes), s = Simd::mul(sign, F32::load(row_sin + i, lanes));
            const Simd::F a = Values::load(first + i, lanes), b = Values::load(second + i, lanes);
            Values::store(first + i, Simd::sub(Simd::mul(a, c), Simd::mul(b, s)), lanes);
            Values::store(second + i, Simd::add(Simd::mul(b, c), Simd::mul(a, s)), lanes);
          });
        }
      }
    });
  });
}
