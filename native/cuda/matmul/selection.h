// Which kernel serves a product, and in how many slices: pure functions of the shape and the GPU over a short list of
// instances, each scored by a cost model. Nothing here touches a GPU; one that is not known is described by its numbers, so
// that every GPU gets a choice.
#pragma once

#include <cstdint>

namespace lk::cuda {

// What the choice depends on, beside the shape.
struct Gpu {
  int32_t arch;             // compute capability, 10 * major + minor
  int32_t multiprocessors;  // at least 1
};

// out [rows, cols], sums over `depth`.
struct ProductShape {
  int64_t rows, cols, depth;
};

inline constexpr int64_t kFewRows = 4;
// Partial sums of the slices of one product.
inline constexpr int64_t kMaxPartialBytes = int64_t{4} << 20;

struct TileChoice {
  bool narrow;     // tiles of 128 x 16 (rank-sized outputs), not 64 x 64
  int64_t splits;  // slices of depth
};

TileChoice choose_tiles(const ProductShape& shape, const Gpu& gpu);
// Slices of depth for few_rows_columns.
int64_t choose_few_rows_splits(const ProductShape& shape, const Gpu& gpu);

// Rows that packed.cu takes at most, and how: tiles of 16 rows, slices of depth.
inline constexpr int64_t kPackedRows = 64;
struct PackedChoice {
  int32_t row_tiles;  // 1, 2 or 4: enough for the rows
  int64_t splits;
};
PackedChoice choose_packed(const ProductShape& shape, const Gpu& gpu);

// What one panel of a dequantised weight may take, with the adapter's part of it.
inline constexpr int64_t kMaxPanelBytes = int64_t{40} << 20;
// Columns of the output that many_rows.cu takes at once: a multiple of its tile, or 0 where not even one fits. depth: of the
// product; four_bit: whether the weight must be dequantised; rank: of an adapter, or 0.
int64_t choose_panel(int64_t depth, int64_t cols, bool four_bit, int64_t rank);

// Bytes of partial sums.
inline int64_t partial_bytes(const ProductShape& shape, int64_t splits) {
  return splits > 1 ? splits * shape.rows * shape.cols * int64_t{sizeof(float)} : 0;
}

}  // namespace lk::cuda
