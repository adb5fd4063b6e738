// dx = dy * W for a few rows of dy: no panel, each row of the weight is read once, as it lies in memory, and added to the
// sums of all columns.
//
//   out [M, K] = dy [M, N] * W [N, K] + dropout ∘ (dS [M, rank] * A [rank, K]),   M <= kMaxTransposedRows
//
// The rows of W are cut into parts, each with sums of its own, which are added in order: how many there are follows from
// the shapes alone.

constexpr int kMaxTransposedRows = 4;
constexpr int kRowsAtOnce = 4;  // of the weight: so many products for a sum that is loaded and stored
constexpr int64_t kMaxParts = 16, kMinParts = 4;
constexpr int64_t kPartsBytes = int64_t{kMaxWorkspaceBytes} / 2 - (64 << 10);

// The adapter's part of dx; null = none.
struct InputTerm {
  const lk_tensor* ds = nullptr;  // F32
  const lk_tensor* a = nullptr;
  Dropout dropout{};
};

// The sums of the parts: [parts, rows, stride] F32.
struct PartSums {
  static PartSums of(const lk_tensor& dx, int64_t weight_rows) {
    PartSums sums;
    sums.stride = ceil_div(dx.cols, 64) * 64;
    if (dx.rows < 1 || dx.rows > kMaxTransposedRows || dx.cols == 0) return sums;
    const int64_t most = kPartsBytes / (dx.rows * sums.stride * int64_t{sizeof(float)});
    if (most < kMinParts) return sums;
    sums.parts = std::min({kMaxParts, most, ceil_div(weight_rows, int64_t{kRowsAtOnce})});
    sums.rows = dx.rows;
    return sums;
  }
  int64_t bytes() const { return parts * rows * stride * int64_t{sizeof(float)}; }
  float* row(int64_t part, int64_t m) const { return data + (part * rows + m) * stride; }

  int64_t parts = 0;  // 0: not for gemv_transposed
  int64_t rows = 0, stride = 0;
  float* data = nullptr;
};

// Rows of any weight, decoded to memory a piece at a time.
class GeneralRows {
 public:
  explicit GeneralRows(const lk_weight& weight) : rows_(weight), columns_(weight.cols) {}

  // sums[m * stride + k] += factors[m][i] * W[row + i, k] for all k and i < kCount. The sums have room for a whole vector.
  template <int kRows, int kCount>
  void add(int64_t row, const float* const* factors, float* sums, int64_t stride) const {
    constexpr int64_t kPiece = 1024;
    alignas(64) float pieces[kCount][kPiece];
    for (int64_t column = 0; column < columns_; column += kPiece, sums += kPiece) {
      const int64_t count = std::min(kPiece, columns_ - column);
      for (int i = 0; i < kCount; ++i) {
        rows_.read(row + i, column, count, pieces[i]);
        std::fill(pieces[i] + count, pieces[i] + ceil_div(count, Simd::kLanes) * Simd::kLanes, 0.0f);
      }
      for (int64_t j = 0; j < count; j += Simd::kLanes) {
        for (int m = 0; m < kRows; ++m) {
          Simd::F sum = Simd::load(sums + m * stride + j);
          for (int i = 0; i < kCount; ++i) sum = Simd::fma(Simd::set1(factors[m][i]), Simd::load(pieces[i] + j), sum);
          Simd::store(sums + m * stride + j, sum);
        }
      }
    }
  }

 private:
  WeightRows rows_;
  int64_t columns_;
};

// sums[m] = dy[m, n] * W[n, :] over n in [begin, end)
template <int kRows, typename Rows>
void sum_part(const lk_tensor& dy, const Rows& rows, int64_t begin, int64_t end, float* sums, int64_t stride) {
  constexpr int64_t kPiece = 256;  // a multiple of kRowsAtOnce
  alignas(64) float widened[kRows][kPiece];
  std::fill_n(sums, kRows * stride, 0.0f);
  for (int64_t first = begin; first < end; first += kPiece) {
    const int64_t count = std::min(kPiece, end - first);
    for (int m = 0; m < kRows; ++m) read_row(dy, m, first, count, widened[m]);
    for (int64_t i = 0; i < count;) {
      const float* factors[kRows];
      for (int m = 0; m < kRows; ++m) factors[m] = widened[m] + i;
      const bool several = i + kRowsAtOnce <= count;
      if (several) {
        rows.template add<kRows, kRowsAtOnce>(first + i, factors, sums, stride);
      } else {
        rows.template add<kRows, 1>(first + i, factors, sums, stride);
      }
      i += several ? kRowsAtOnce : 1;
    }
  }
}

template <int kRows, typename Rows>
void gemv_transposed_rows(const lk_tensor& out, const lk_tensor& dy, const Rows& rows, const InputTerm& lora,
                          const PartSums& sums) {
  const int64_t part_rows = ceil_div(ceil_div(dy.cols, sums.parts), int64_t{kRowsAtOnce}) * kRowsAtOnce;
  parallel_for(sums.parts, [&](int64_t part, std::byte*) {
    sum_part<kRows>(dy, rows, std::min(dy.cols, part * part_rows), std::min(dy.cols, (part + 1) * part_rows),
                    sums.row(part, 0), sums.stride);
  });
  constexpr int64_t kColumns = 512;
  parallel_for(ceil_div(out.cols, kColumns), [&](int64_t index, std::byte*) {
    alignas(64) float total[kColumns], a_row[kColumns];
    const int64_t column = index * kColumns, count = std::min(kColumns, out.cols - column);
    for (int m = 0; m < kRows; ++m) {
      std::fill_n(total, count, 0.0f);
      if (lora.ds) {
        const float* ds = at_address<const float>(lora.ds->data) + m * lora.ds->row_stride;
        for (int64_t r = 0; r < lora.a->rows; ++r) {
          read_row(*lora.a, r, column, count, a_row);
          for (int64_t j = 0; j < count; ++j) total[j] += ds[r] * a_row[j];
        }
        if (lora.dropout.active()) lora.dropout.apply(m, column, count, total);
      }
      for (int64_t part = 0; part < sums.parts; ++part) {
        const float* part_sums = sums.row(part, m) + column;
        for (int64_t j = 0; j < count; ++j) total[j] += part_sums[j];
      }
      write_row(out, m, column, count, total);
    }
  });
}

// out.rows = sums.rows
template <typename Rows>
void gemv_transposed(const lk_tensor& out, const lk_tensor& dy, const Rows& rows, const InputTerm& lora,
                     const PartSums& sums) {
  static_assert(kMaxTransposedRows == 4, "the cases");
  switch (out.rows) {
    case 1:
      return gemv_transposed_rows<1>(out, dy, rows, lora, sums);
    case 2:
      return gemv_transposed_rows<2>(out, dy, rows, lora, sums);
    case 3:
      return gemv_transposed_rows<3>(out, dy, rows, lora, sums);
    default:
      return gemv_transposed_rows<4>(out, dy, rows, lora, sums);
  }
}
