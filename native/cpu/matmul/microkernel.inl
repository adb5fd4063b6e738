// The register tile at the heart of every product here:
//
//   c[i][j] += sum over s of a[i * a_row + s * a_step] * panel[s][j]      i < rows <= kTileRows, j < vectors * lanes
//
//            panel [steps][kTileColumns]      c stays in registers for all steps: rows x vectors sums. A step loads
//            ┌────┬────┬────┬────┐            one panel row and broadcasts one element of a for each row.
//          s │ v0 │ v1 │ v2 │ v3 │
//            └────┴────┴────┴────┘            The strides of a serve both shapes of left operands: rows of a matrix
//   a   ┌─┐  ┌────┬────┬────┬────┐            (a_step = 1), and columns of one, where the sum runs over its rows
//       │s│  │ c  │    │    │    │            (a_row = 1).
//       └─┘  └────┴────┴────┴────┘
//
// A Product says what an element is and how it is multiplied: F32Product here; Bf16Product takes two k at a time.

// Rows of the left operand, and steps of the sum: how many elements of a Product they are apart.
template <typename Element>
struct LeftOperand {
  const Element* data;
  int64_t row_stride;
  int64_t step_stride = 1;
};

struct F32Product {
  using Element = float;
  using Vector = Simd::F;
  static constexpr int kDepth = 1;  // values of k in one element

  // Whether rows of x, `length` elements of them, can be used where they are; and how.
  static bool takes_in_place(const lk_tensor& x, int) { return x.dtype == LK_F32; }
  static LeftOperand<Element> in_place(const lk_tensor& x, int64_t row, int64_t depth) {
    return {reinterpret_cast<const Element*>(element_at(x, row, depth)), x.row_stride};
  }
  // Row `row` of (dropout ∘ x), columns [depth, depth + length), as the left operand of a product.
  static void pack_row(const lk_tensor& x, const Dropout& dropout, int64_t row, int64_t depth, int length,
                       Element* out) {
    read_row(x, dropout, row, depth, length, out);
  }
  // Step `depth` of the rows [row, row + rows) of t^T.
  static void pack_columns(const lk_tensor& t, int64_t depth, int64_t row, int rows, Element* out) {
    read_row(t, depth, row, rows, out);
  }
  static int steps(int length) { return length; }
  static Vector load(const Element* p) { return Simd::load(p); }
  static Vector broadcast(const Element* p) { return Simd::set1(*p); }
  static Simd::F multiply_add(Vector a, Vector b, Simd::F c) { return Simd::fma(a, b, c); }
};

constexpr int kTileColumns = kTileVectors * Simd::kLanes;

template <typename Product, int kRows, int kVectors>
void multiply_tile(int64_t steps, const typename Product::Element* a, int64_t a_row, int64_t a_step,
                   const typename Product::Element* panel, float* c) {
  Simd::F sum[kRows][kVectors];
  const typename Product::Element* row[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    row[i] = a + i * a_row;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[i][v] = Simd::zero();
  }
  int64_t at = 0;
#pragma GCC unroll 2
  for (int64_t s = 0; s < steps; ++s, at += a_step, panel += kTileColumns) {
    typename Product::Vector b[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) b[v] = Product::load(panel + v * Simd::kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const typename Product::Vector x = Product::broadcast(row[i] + at);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[i][v] = Product::multiply_add(x, b[v], sum[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      float* out = c + i * kTileColumns + v * Simd::kLanes;
      Simd::store(out, Simd::add(Simd::load(out), sum[i][v]));
    }
  }
}

// Every size of tile, for the last rows and columns of a matrix: kernel(rows, vectors) with 1 <= rows <= kTileRows and
// 1 <= vectors <= kTileVectors.
template <typename Product>
class TileKernels {
 public:
  using Kernel = void (*)(int64_t steps, const typename Product::Element* a, int64_t a_row, int64_t a_step,
                          const typename Product::Element* panel, float* c);

  static Kernel kernel(int rows, int vectors) { return kKernels[(rows - 1) * kTileVectors + vectors - 1]; }

 private:
  template <int... kIndex>
  static constexpr std::array<Kernel, sizeof...(kIndex)> all(std::integer_sequence<int, kIndex...>) {
    return {multiply_tile<Product, kIndex / kTileVectors + 1, kIndex % kTileVectors + 1>...};
  }
  static constexpr auto kKernels = all(std::make_integer_sequence<int, kTileRows * kTileVectors>{});
};
