// column_sums and sums_of_squares.

void column_sums(Device& device, const lk_tensor& a, const lk_tensor* b, const lk_tensor& out) {
  const ColumnSums columns(device, a.rows, a.cols);
  with_format(a.dtype, [&](auto format) {
    using Values = decltype(format);
    columns.for_each_part([&](int64_t first, int64_t end, float* sums) {
      for (int64_t row = first; row < end; ++row) {
        const auto* left = Values::at(a, row, 0);
        const auto* right = b ? Values::at(*b, row, 0) : nullptr;
        for_each_vector(a.cols, [&](int64_t i, auto lanes) {
          const Simd::F value = Values::load(left + i, lanes), sum = F32::load(sums + i, lanes);
          F32::store(sums + i, right ? Simd::fma(value, Values::load(right + i, lanes), sum) : Simd::add(value, sum),
                     lanes);
        });
      }
    });
  });
  columns.add_to(at_address<float>(out.data));
}

// Sum of squares of a run, in float64.
template <typename Values>
double squares_of_run(const typename Values::Element* p, int64_t count) {
  constexpr int kChains = 4;
  Simd::D sums[kChains] = {Simd::zero_d(), Simd::zero_d(), Simd::zero_d(), Simd::zero_d()};
  int64_t i = 0;
  for (; i + kChains * Simd::kLanes <= count; i += kChains * Simd::kLanes) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) sums[c] = Simd::add_squares(sums[c], Values::load(p + i + c * Simd::kLanes));
  }
  for_each_vector(count - i, [&](int64_t rest, auto lanes) {
    sums[0] = Simd::add_squares(sums[0], Values::load(p + i + rest, lanes));
  });
  return (Simd::sum(sums[0]) + Simd::sum(sums[1])) + (Simd::sum(sums[2]) + Simd::sum(sums[3]));
}

// Rows of a tensor that are one run in memory: a contiguous matrix is one long row.
inline lk_tensor longest_rows(const lk_tensor& t) {
  if (t.row_stride != t.cols) return t;
  lk_tensor row = t;
  row.rows = t.rows == 0 || t.cols == 0 ? 0 : 1;
  row.cols = row.row_stride = t.rows * t.cols;
  return row;
}

// Pieces of all tensors form one list of tasks; the sums of pieces are added up in their order.
void sums_of_squares(Device& device, const lk_tensor* tensors, int64_t count, double* sums) {
  constexpr int64_t kPiece = 1 << 15;
  const auto pieces_per_row = [](const lk_tensor& t) { return ceil_div(t.cols, kPiece); };
  // first_piece[i] = number of pieces before tensor i
  const Workspace offsets(device, static_cast<size_t>(count + 1) * sizeof(int64_t));
  int64_t* first_piece = reinterpret_cast<int64_t*>(offsets.data());
  first_piece[0] = 0;
  for (int64_t i = 0; i < count; ++i) {
    const lk_tensor t = longest_rows(tensors[i]);
    first_piece[i + 1] = first_piece[i] + t.rows * pieces_per_row(t);
  }
  const Workspace partial(device, static_cast<size_t>(first_piece[count]) * sizeof(double));
  double* piece_sums = reinterpret_cast<double*>(partial.data());
  parallel_for(first_piece[count], [&](int64_t piece, std::byte*) {
    const int64_t tensor = std::upper_bound(first_piece, first_piece + count + 1, piece) - first_piece - 1;
    const lk_tensor t = longest_rows(tensors[tensor]);
    const int64_t index = piece - first_piece[tensor], per_row = pieces_per_row(t);
    const int64_t row = index / per_row, col = index % per_row * kPiece;
    with_format(t.dtype, [&](auto format) {
      using Values = decltype(format);
      piece_sums[piece] = squares_of_run<Values>(Values::at(t, row, col), std::min(kPiece, t.cols - col));
    });
  });
  for (int64_t i = 0; i < count; ++i) {
    sums[i] = 0.0;
    for (int64_t piece = first_piece[i]; piece < first_piece[i + 1]; ++piece) sums[i] += piece_sums[piece];
  }
}
