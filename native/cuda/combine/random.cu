// keep_random and keep_by_magnitude: elements dropped by the words of the counter-based generator.
#include <algorithm>

#include "common/philox.h"
#include "cuda/block.cuh"
#include "cuda/combine/combine.h"
#include "cuda/convert.cuh"
#include "cuda/launch.cuh"
#include "cuda/tiles.cuh"

namespace lk::cuda {
namespace {

// ---- keep_random -----------------------------------------------------------------------------------------------

constexpr int kCount = 4;

// data null: by the words.
struct Mask {
  const uint8_t* data;
  int64_t stride;
};

__global__ void __launch_bounds__(kTileThreads)
    keep_random_kernel(const Tiles<kCount> tiles, const AnyMatrix x, const Mask mask, const DropoutMask words,
                       float density, const AnyMatrix out) {
  const auto place = tiles.place();
  if (place.count <= 0) return;
  float values[kCount];
  uint8_t kept[kCount] = {1, 1, 1, 1};
  x.load(place.row, place.col, place.count, values);
  if (mask.data) {
    load_elements(mask.data + place.row * mask.stride + place.col, place.count, kept);
  } else if (words.active()) {
    const Philox4 drawn = words.words(place.row, place.col / kCount);
#pragma unroll
    for (int i = 0; i < kCount; ++i) kept[i] = drawn.word[i] >= words.threshold;
  }
  // A dropped NaN stays NaN, as in torch, where masks are multiplied.
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = __fdiv_rn(__fmul_rn(values[i], kept[i] ? 1.0f : 0.0f), density);
  out.store(place.row, place.col, place.count, values);
}

// ---- keep_by_magnitude -----------------------------------------------------------------------------------------
//
// A block of threads sorts a row as keys of the bits of |x| above the column: a radix sort by the four bytes of |x|, the
// least significant one first. It starts in the order of the columns and keeps the order of equal bytes, so that equal
// magnitudes stay in the order of their columns. Within a piece of kSortThreads keys, a key's place is after those of the
// same byte in earlier pieces, warps and lanes.

constexpr int kSortThreads = 256, kDigits = 256, kSortWarps = kSortThreads / kWarpLanes;
static_assert(kSortThreads == kDigits, "a thread keeps the running place of one byte");

struct SortShared {
  uint32_t counts[kSortWarps][kDigits];  // of a piece, by warp; then the places of their first keys
  uint32_t places[kDigits];              // of the next key of each byte
  uint32_t scratch[kSortWarps];
};

__device__ __forceinline__ uint32_t digit_of(uint64_t key, int pass) {
  return static_cast<uint32_t>(key >> (32 + 8 * pass)) & 255u;
}

__device__ __forceinline__ void sort_pass(const uint64_t* from, uint64_t* to, uint32_t count, int pass,
                                          SortShared& shared) {
  const uint32_t thread = threadIdx.x;
  shared.places[thread] = 0;
  __syncthreads();
  for (uint64_t i = thread; i < count; i += kSortThreads) atomicAdd(&shared.places[digit_of(from[i], pass)], 1u);
  __syncthreads();
  uint32_t total;
  shared.places[thread] = block_prefix(shared.places[thread], shared.scratch, total);
  for (uint64_t piece = 0; piece < count; piece += kSortThreads) {
    const bool present = piece + thread < count;
    const uint64_t key = present ? from[piece + thread] : 0;
    const uint32_t digit = digit_of(key, pass);
    for (auto& counts : shared.counts) counts[thread] = 0;
    __syncthreads();
    const unsigned same = __match_any_sync(kAllLanes, present ? digit : static_cast<uint32_t>(kDigits));
    const uint32_t before = __popc(same & ((1u << lane_index()) - 1u));
    if (present && before == 0) shared.counts[warp_index()][digit] = __popc(same);
    __syncthreads();
    uint32_t place = shared.places[thread];
    for (auto& counts : shared.counts) {
      const uint32_t keys = counts[thread];
      counts[thread] = place;
      place += keys;
    }
    shared.places[thread] = place;
    __syncthreads();
    if (present) to[shared.counts[warp_index()][digit] + before] = key;
    __syncthreads();
  }
}

struct MagnitudeOdds {
  float lowest;  // density - epsilon
  double width;  // 2 * epsilon
  uint64_t seed, step;

  __device__ __forceinline__ float probability(int64_t rank, int64_t cols) const {
    const double share = cols > 1 ? __ddiv_rn(static_cast<double>(rank), static_cast<double>(cols - 1)) : 0.5;
    return static_cast<float>(__dadd_rn(double{lowest}, __dmul_rn(width, share)));
  }
};

// all_keys: two times `cols` for each block of threads, which has row first_row + blockIdx.x.
__global__ void __launch_bounds__(kSortThreads)
    keep_by_magnitude_kernel(const AnyMatrix x, int64_t first_row, uint32_t cols, const MagnitudeOdds odds,
                             uint64_t* all_keys, const AnyMatrix out) {
  SortShared& shared = *reinterpret_cast<SortShared*>(LK_SHARED_MEMORY());
  const int64_t row = first_row + blockIdx.x;
  uint64_t* from = all_keys + int64_t{blockIdx.x} * 2 * cols;
  uint64_t* to = from + cols;
  for (uint64_t col = threadIdx.x; col < cols; col += kSortThreads) {
    from[col] = uint64_t{__float_as_uint(x.at(row, col)) & 0x7fffffffu} << 32 | col;
  }
  __syncthreads();
  for (int pass = 0; pass < 4; ++pass) {
    sort_pass(from, to, cols, pass, shared);
    uint64_t* const sorted = to;
    to = from;
    from = sorted;
  }
  for (uint64_t rank = threadIdx.x; rank < cols; rank += kSortThreads) {
    const uint32_t col = static_cast<uint32_t>(from[rank]);
    const float p = odds.probability(static_cast<int64_t>(rank), cols);
    const DropoutMask mask = DropoutMask::of(1.0f - p, odds.seed, odds.step);
    const Philox4 words = mask.words(row, col / 4);
    // chosen without an index, which would put the words into local memory
    const uint32_t even = col & 2 ? words.word[2] : words.word[0], odd = col & 2 ? words.word[3] : words.word[1];
    const bool kept = (col & 1 ? odd : even) >= mask.threshold;
    const float value[1] = {kept ? __fdiv_rn(x.at(row, col), p) : 0.0f};
    out.store(row, col, 1, value);
  }
}

}  // namespace

void keep_random(Device& device, const lk_tensor& x, const lk_tensor* mask, float density, uint64_t seed, uint64_t step,
                 const lk_tensor& out) {
  const Tiles<kCount> tiles(out.rows, out.cols);
  const Mask given = mask ? Mask{at_address<const uint8_t>(mask->data), mask->row_stride} : Mask{nullptr, 0};
  launch(device, keep_random_kernel, tiles.grid(), dim3(kTileThreads), 0, tiles, AnyMatrix(x), given,
         DropoutMask::of(1.0f - density, seed, step), density, AnyMatrix(out));
}

// As many rows at a time as fit the workspace, one at least.
void keep_by_magnitude(Device& device, const lk_tensor& x, float density, float epsilon, uint64_t seed, uint64_t step,
                       const lk_tensor& out) {
  constexpr int64_t kWorkspaceBytes = int64_t{64} << 20;
  const int64_t row_bytes = 2 * x.cols * static_cast<int64_t>(sizeof(uint64_t));
  const int64_t rows_at_once = std::min(x.rows, std::max<int64_t>(1, kWorkspaceBytes / row_bytes));
  const Workspace workspace(device, static_cast<size_t>(rows_at_once * row_bytes));
  const MagnitudeOdds odds{density - epsilon, 2.0 * epsilon, seed, step};
  for (int64_t row = 0; row < x.rows; row += rows_at_once) {
    const int64_t rows = std::min(rows_at_once, x.rows - row);
    launch(device, keep_by_magnitude_kernel, dim3(static_cast<unsigned>(rows)), dim3(kSortThreads), sizeof(SortShared),
           AnyMatrix(x), row, static_cast<uint32_t>(x.cols), odds, reinterpret_cast<uint64_t*>(workspace.data()),
           AnyMatrix(out));
  }
}

}  // namespace lk::cuda
