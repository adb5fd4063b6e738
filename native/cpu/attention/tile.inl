// The products of attention, in register tiles over matrices in scratch:
//
//   c[i][j] (+)= sum over s of a[i * a_row + s * a_step] * b[s][j]      i < rows <= kTileRows, j < vectors * lanes
//
// A tile is summed in registers from 0 on and added to c at the end: a long sum is one of sums, which rounds less. The strides of a serve rows of a matrix (a_step = 1), and columns of one, where the
// sum runs over its rows (a_row = 1).

struct LeftOperand {
  const float* data;
  int64_t row, step;
};

template <int kRows, int kVectors, bool kAdd>
void multiply_tile(int steps, LeftOperand a, const float* b, int64_t b_row, float* c, int64_t c_row) {
  Simd::F sum[kRows][kVectors];
  const float* row[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    row[i] = a.data + i * a.row;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[i][v] = Simd::zero();
  }
  int64_t at = 0;
#pragma GCC unroll 2
  for (int s = 0; s < steps; ++s, at += a.step, b += b_row) {
    Simd::F right[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) right[v] = Simd::load(b + v * Simd::kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const Simd::F left = Simd::set1(row[i][at]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[i][v] = Simd::fma(left, right[v], sum[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      float* out = c + i * c_row + v * Simd::kLanes;
      Simd::store(out, kAdd ? Simd::add(Simd::load(out), sum[i][v]) : sum[i][v]);
    }
  }
}

// Every size of tile, for the last rows and columns of a matrix.
template <bool kAdd>
class TileKernels {
 public:
  using Kernel = void (*)(int steps, LeftOperand a, const float* b, int64_t b_row, float* c, int64_t c_row);

  static Kernel kernel(int rows, int vectors) { return kKernels[(rows - 1) * kTileVectors + vectors - 1]; }

 private:
  template <int... kIndex>
  static constexpr std::array<Kernel, sizeof...(kIndex)> all(std::integer_sequence<int, kIndex...>) {
    return {multiply_tile<kIndex / kTileVectors + 1, kIndex % kTileVectors + 1, kAdd>...};
  }
  static constexpr auto kKernels = all(std::make_integer_sequence<int, kTileRows * kTileVectors>{});
};

inline int64_t round_up(int64_t value, int64_t multiple) {
  return ceil_div(value, multiple) * multiple;
}

// c[i][begin ... end) (+)= a * b[...][begin ... end) for rows i < rows <= kTileRows; begin and end are multiples of kLanes.
template <bool kAdd>
inline void multiply(int rows, int64_t begin, int64_t end, int steps, LeftOperand a, const float* b, int64_t b_row,
                     float* c, int64_t c_row) {
  constexpr int64_t kTileColumns = kTileVectors * Simd::kLanes;
  for (int64_t j = begin; j < end; j += kTileColumns) {
    const int vectors = static_cast<int>(std::min(kTileColumns, end - j) / Simd::kLanes);
    TileKernels<kAdd>::kernel(rows, vectors)(steps, a, b + j, b_row, c + j, c_row);
  }
}
