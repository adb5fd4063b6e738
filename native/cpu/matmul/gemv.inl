// y = x * W^T for a few rows of x: no panel, each row of the weight is decoded once, straight into the products.
//
//   out [M, N] = scale * x [M, K] * W^T + bias + S [M, rank] * B^T,   M <= kMaxRows of the decoder
//
// x is widened once, in groups of kGroup values of k with zeros behind the end, in the order in which a decoder
// delivers the weights of a group. A group of all rows lies together, row after row, so that one address serves them.
// An instruction set may bring decoders for 4-bit weights of whole blocks; GeneralDecoder serves all.

constexpr int64_t kGemvTaskRows = 64;  // rows of the weight in a task, at most

// The adapter's part of a forward product, S [M, rank] * B^T [rank, N]: S is F32 and scaled already. Null = none.
struct LoraTerm {
  const lk_tensor* s = nullptr;
  const lk_tensor* b = nullptr;
};

inline float dot(const float* a, const float* b, int64_t count) {
  Simd::F sum = Simd::zero();
  int64_t i = 0;
  for (; i + Simd::kLanes <= count; i += Simd::kLanes) sum = Simd::fma(Simd::load(a + i), Simd::load(b + i), sum);
  const int rest = static_cast<int>(count - i);
  return Simd::sum(Simd::fma(Simd::load_partial(a + i, rest), Simd::load_partial(b + i, rest), sum));
}

// Rows of any weight, decoded to memory a piece at a time.
class GeneralDecoder {
 public:
  using Element = float;
  static constexpr int kGroup = 64;
  static constexpr int kMaxRows = 8;

  explicit GeneralDecoder(const lk_weight& weight) : rows_(weight) {}

  // One group of x, widened, in the order of this decoder.
  static void pack_group(const float* x, Element* packed) { std::copy(x, x + kGroup, packed); }

  // sums[m] += x[m] . W[row] over columns [begin, end); x packed. What is read `ahead` bytes later is fetched.
  template <int kRows>
  void multiply(int64_t row, int64_t begin, int64_t end, const Element* x, int64_t, float* sums) const {
    constexpr int64_t kPiece = 1024;
    // Chains of sums enough to hide the latency of a multiply-add.
    constexpr int kChains = kRows == 1 ? 4 : kRows == 2 ? 2 : 1;
    constexpr int64_t kStep = kChains * Simd::kLanes;
    static_assert(kGroup % kStep == 0, "a step lies in one group");
    alignas(64) float piece[kPiece];
    Simd::F total[kChains][kRows];
    for (auto& chain : total) {
      for (Simd::F& sum : chain) sum = Simd::zero();
    }
    for (int64_t k = begin; k < end; k += kPiece) {
      const int64_t count = std::min(kPiece, end - k), padded = ceil_div(count, kStep) * kStep;
      rows_.read(row, k, count, piece);
      std::fill(piece + count, piece + padded, 0.0f);
      for (int64_t i = 0; i < padded; i += kStep) {
        const Element* values = x + (k + i / kGroup * kGroup) * kRows + i % kGroup;
#pragma GCC unroll 4
        for (int c = 0; c < kChains; ++c) {
          const Simd::F w = Simd::load(piece + i + c * Simd::kLanes);
#pragma GCC unroll 8
          for (int m = 0; m < kRows; ++m) {
            total[c][m] = Simd::fma(w, Simd::load(values + m * kGroup + c * Simd::kLanes), total[c][m]);
          }
        }
      }
    }
    for (int m = 0; m < kRows; ++m) {
      for (int c = 1; c < kChains; ++c) total[0][m] = Simd::add(total[0][m], total[c][m]);
      sums[m] += Simd::sum(total[0][m]);
    }
  }

 private:
  WeightRows rows_;
};

template <typename Decoder>
void pack_x(const lk_tensor& x, const Dropout& dropout, typename Decoder::Element* packed) {
  for (int64_t k = 0; k < x.cols; k += Decoder::kGroup) {
    for (int64_t m = 0; m < x.rows; ++m, packed += Decoder::kGroup) {
      alignas(64) float group[Decoder::kGroup] = {};
      read_row(x, dropout, m, k, std::min<int64_t>(Decoder::kGroup, x.cols - k), group);
      Decoder::pack_group(group, packed);
    }
  }
}

template <int kRows, typename Decoder>
void gemv_rows(const lk_tensor& out, float scale, const lk_tensor* bias, int64_t k_end,
               const typename Decoder::Element* packed, const Decoder& decoder, const LoraTerm& lora) {
  // The rows of x are taken in pieces that stay in L1 while the rows of the weight go by. A power of two from 1024: a
  // piece is whole blocks, or lies in one.
  constexpr int64_t kPieceBytes = 32 << 10;
  constexpr int64_t kPieceRows = kRows <= 2 ? kRows : kRows <= 4 ? 4 : 8;
  constexpr int64_t kPiece = kPieceBytes / int64_t{sizeof(typename Decoder::Element)} / kPieceRows;
  // Packed weights are fetched 2 KiB ahead: in the row, or where a piece is a part of it, in the rows to come.
  constexpr int64_t kAhead = 2048;
  const int64_t ahead = kPiece >= k_end ? kAhead : ceil_div(kAhead, kPiece / 2) * (k_end / 2);
  const int64_t task_rows = std::clamp<int64_t>(out.cols / 64, 1, kGemvTaskRows);
  parallel_for(ceil_div(out.cols, task_rows), [&](int64_t index, std::byte* scratch) {
    const int64_t first = index * task_rows;
    const int count = static_cast<int>(std::min(task_rows, out.cols - first));
    float(*sums)[kGemvTaskRows] = reinterpret_cast<float(*)[kGemvTaskRows]>(scratch);
    float* row = &sums[kRows][0];  // a row of bias or of B
    for (int m = 0; m < kRows; ++m) std::fill_n(sums[m], count, 0.0f);
    for (int64_t k = 0; k < k_end; k += kPiece) {
      for (int n = 0; n < count; ++n) {
        float products[kRows] = {};
        decoder.template multiply<kRows>(first + n, k, std::min(k_end, k + kPiece), packed, ahead, products);
        for (int m = 0; m < kRows; ++m) sums[m][n] += scale * products[m];
      }
    }
    if (lora.s) {
      for (int n = 0; n < count; ++n) {
        read_row(*lora.b, first + n, 0, lora.b->cols, row);
        for (int m = 0; m < kRows; ++m) {
          sums[m][n] += dot(at_address<const float>(lora.s->data) + m * lora.s->row_stride, row, lora.b->cols);
        }
      }
    }
    if (bias) {
      read_row(*bias, 0, first, count, row);
      for (int m = 0; m < kRows; ++m) {
        for (int n = 0; n < count; ++n) sums[m][n] += row[n];
      }
    }
    for (int m = 0; m < kRows; ++m) write_row(out, m, first, count, sums[m]);
  });
}

// kRows = out.rows, found among kRows ... kMaxRows.
template <int kRows, typename Decoder>
void gemv_any_rows(const lk_tensor& out, float scale, const lk_tensor* bias, int64_t k_end,
                   const typename Decoder::Element* packed, const Decoder& decoder, const LoraTerm& lora) {
  if constexpr (kRows < Decoder::kMaxRows) {
    if (out.rows != kRows) return gemv_any_rows<kRows + 1>(out, scale, bias, k_end, packed, decoder, lora);
  }
  gemv_rows<kRows>(out, scale, bias, k_end, packed, decoder, lora);
}

// out = scale * (dropout ∘ x) * W^T + bias + lora, 1 <= x.rows <= kMaxRows. `packed_x`: gemv_workspace bytes.
template <typename Decoder>
void gemv(const lk_tensor& out, float scale, const lk_tensor* bias, const lk_tensor& x, const Dropout& dropout,
          const Decoder& decoder, const LoraTerm& lora, std::byte* packed_x) {
  auto* packed = reinterpret_cast<typename Decoder::Element*>(packed_x);
  pack_x<Decoder>(x, dropout, packed);
  gemv_any_rows<1>(out, scale, bias, x.cols, packed, decoder, lora);
}

// Enough for every decoder: their groups are at most 128 values of at most 4 bytes.
inline int64_t gemv_workspace(int64_t rows, int64_t k) {
  return rows * ceil_div(k, 128) * 128 * int64_t{sizeof(float)};
}
