#include "cuda/matmul/selection.h"

#include <algorithm>
#include <cmath>

namespace lk::cuda {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Slices are doubled from 1; each keeps at least this much depth, so that adding them up stays a small part of the work.
constexpr int64_t kMaxSplits = 64;

// An instance of a kernel, as the model sees it.
struct Instance {
  int64_t rows, cols;     // of a block's tile
  int64_t per_processor;  // blocks that a multiprocessor holds at once
  double element_cost;    // cycles of a multiprocessor for one element of depth of one tile
  double fixed_cost;      // cycles to fill and drain a block
  int64_t min_slice;      // depth
};

// Cycles until the last wave of blocks has ended, with `splits` slices, and with the pass that adds them up: about one
// element a cycle of a multiprocessor.
double cost_of(const Instance& instance, const ProductShape& shape, int64_t splits, const Gpu& gpu) {
  const int64_t blocks = ceil_div(shape.rows, instance.rows) * ceil_div(shape.cols, instance.cols) * splits;
  const double at_once = static_cast<double>(instance.per_processor * gpu.multiprocessors);
  const double depth = static_cast<double>(ceil_div(std::max<int64_t>(shape.depth, 1), splits));
  const double rounds = std::max(1.0, std::ceil(static_cast<double>(blocks) / at_once));
  // Blocks that share a multiprocessor share its units.
  const double held = std::max(1.0, std::min(static_cast<double>(instance.per_processor),
                                             static_cast<double>(ceil_div(blocks, gpu.multiprocessors))));
  double cost = rounds * (instance.fixed_cost + depth * instance.element_cost * held);
  if (splits > 1) {
    const double elements = static_cast<double>(shape.rows) * static_cast<double>(shape.cols);
    cost += 3000 + elements * static_cast<double>(splits) / (8.0 * gpu.multiprocessors);
  }
  return cost;
}

struct Scored {
  double cost;
  int64_t splits;
};

Scored best_splits(const Instance& instance, const ProductShape& shape, const Gpu& gpu) {
  Scored best{cost_of(instance, shape, 1, gpu), 1};
  for (int64_t splits = 2; splits <= kMaxSplits; splits *= 2) {
    if (shape.depth < splits * instance.min_slice || partial_bytes(shape, splits) > kMaxPartialBytes) break;
    const double cost = cost_of(instance, shape, splits, gpu);
    if (cost < best.cost) best = {cost, splits};
  }
  return best;
}

// tile.cu: 128 fused operations a cycle, and about as many cycles again for what brings operands to them.
constexpr Instance kSquareTile{64, 64, 2, 64.0, 2000, 512};
constexpr Instance kNarrowTile{128, 16, 2, 48.0, 2000, 512};
constexpr int64_t kPanelTile = 128;    // of gemm16.cu
constexpr int64_t kPanelSlack = 1024;  // bytes, for alignment
// packed.cu: 64 columns of 4-bit weights; an element of depth is 32 bytes of them, and about as many cycles to decode.
constexpr Instance kPacked{kPackedRows, 64, 5, 4.0, 2500, 256};
// few_rows.cu: a row of 256 columns for each of 8 warps.
constexpr Instance kFewRowsColumns{kFewRows, 256, 4, 4.0, 2000, 64};

}  // namespace

TileChoice choose_tiles(const ProductShape& shape, const Gpu& gpu) {
  const Scored square = best_splits(kSquareTile, shape, gpu), narrow = best_splits(kNarrowTile, shape, gpu);
  return narrow.cost < square.cost ? TileChoice{true, narrow.splits} : TileChoice{false, square.splits};
}

PackedChoice choose_packed(const ProductShape& shape, const Gpu& gpu) {
  return {shape.rows <= 16 ? 1 : shape.rows <= 32 ? 2 : 4, best_splits(kPacked, shape, gpu).splits};
}

int64_t choose_panel(int64_t depth, int64_t cols, bool four_bit, int64_t rank) {
  // An element takes 2 bytes; the adapter comes in up to 3 parts of its rank; rows are rounded up to 16 bytes.
  const int64_t along = (four_bit ? depth + 8 : 0) + (rank ? 3 * rank + 8 : 0);
  const int64_t tiles = ceil_div(std::max<int64_t>(cols, 1), kPanelTile);
  if (along == 0) return tiles * kPanelTile;
  const int64_t fitting = (kMaxPanelBytes - kPanelSlack) / (2 * along * kPanelTile);
  // As few panels as fit, so that each fills the GPU, and these alike.
  return fitting == 0 ? 0 : ceil_div(tiles, ceil_div(tiles, fitting)) * kPanelTile;
}

int64_t choose_few_rows_splits(const ProductShape& shape, const Gpu& gpu) {
  return best_splits(kFewRowsColumns, shape, gpu).splits;
}

}  // namespace lk::cuda
