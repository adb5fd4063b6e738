// Which rows a block of attention has. The sequences are in device memory, where the host cannot read them, so the grid is
// as large as they could ever need, and every warp finds its tile itself: 32 sequences at a time, no workspace.
#pragma once

#include "cuda/block.cuh"
#include "cuda/convert.cuh"
#include "cuda/values.cuh"

namespace lk::cuda {

// What kernels take of lk_attention.
struct AttentionArgs {
  AnyMatrix q, k, v;
  int64_t q_rows, k_rows;
  const int32_t* sequences;
  int64_t sequence_stride, sequence_count;
  int64_t kv_heads, group;  // query heads of a key head
  int64_t head_dim, window;
  float scale, softcap;
  bool backward;  // key rows may not be shared
  ValueCheck check;
};

// {first query row, queries, first key row, keys}, as lora_kernels_transformer.h has it.
struct Sequence {
  int32_t query, queries, key, keys;

  __device__ int64_t query_end() const { return queries > 0 ? int64_t{query} + queries : 0; }
  __device__ int64_t key_end() const { return keys > 0 ? int64_t{key} + keys : 0; }
  // Position of the first query.
  __device__ int64_t first_position() const { return int64_t{keys} - queries; }
  // Inside q and k.
  __device__ bool fits(const AttentionArgs& a) const {
    return query >= 0 && queries >= 0 && key >= 0 && queries <= keys && int64_t{query} + queries <= a.q_rows &&
           int64_t{key} + keys <= a.k_rows;
  }
};

struct SequenceTile {
  Sequence sequence;
  int64_t index;  // of the tile in its sequence
};

__device__ inline int64_t inclusive_sum(int64_t value, int lane) {
  for (int step = 1; step < kWarpLanes; step *= 2) {
    const int64_t before = __shfl_up_sync(kAllLanes, value, step);
    if (lane >= step) value += before;
  }
  return value;
}

// The largest of `start` and the values of the lanes up to this one.
__device__ inline int64_t largest_so_far(int64_t start, int64_t value, int lane) {
  if (value < start) value = start;
  for (int step = 1; step < kWarpLanes; step *= 2) {
    const int64_t before = __shfl_up_sync(kAllLanes, value, step);
    if (lane >= step && before > value) value = before;
  }
  return value;
}

// Finds tile `tile` of all sequences, where tiles_of(sequence) says how many each has. False: there are fewer. Sequences
// that break the rules of the header have none, and the warp with `reports` (whose tile must lie behind all others) reports
// the first of them. The whole warp calls it and gets the same answer.
template <typename TilesOf>
__device__ bool find_tile(const AttentionArgs& a, int64_t tile, bool reports, const TilesOf& tiles_of,
                          SequenceTile& found) {
  const int lane = lane_index();
  int64_t query_end = 0, key_end = 0, tiles_before = 0;
  for (int64_t first = 0; first < a.sequence_count; first += kWarpLanes) {
    Sequence s{0, 0, 0, 0};
    if (first + lane < a.sequence_count) {
      const int32_t* values = a.sequences + (first + lane) * a.sequence_stride;
      s = {values[0], values[1], values[2], values[3]};
    }
    bool valid = s.fits(a);
    const int64_t query_ends = largest_so_far(query_end, valid ? s.query_end() : 0, lane);
    const int64_t key_ends = largest_so_far(key_end, valid ? s.key_end() : 0, lane);
    const int64_t queries_before = __shfl_up_sync(kAllLanes, query_ends, 1);
    const int64_t keys_before = __shfl_up_sync(kAllLanes, key_ends, 1);
    if (s.queries > 0 && s.query < (lane == 0 ? query_end : queries_before)) valid = false;
    if (a.backward && s.keys > 0 && s.key < (lane == 0 ? key_end : keys_before)) valid = false;

    const unsigned bad = __ballot_sync(kAllLanes, !valid);
    if (reports && bad != 0 && lane == __ffs(static_cast<int>(bad)) - 1) {
      a.check.write(first + lane, s.query, s.queries, s.key, s.keys);
    }
    const int64_t tiles = valid ? tiles_of(s) : 0;
    const int64_t end = tiles_before + inclusive_sum(tiles, lane);
    const unsigned owner = __ballot_sync(kAllLanes, tile >= end - tiles && tile < end);
    if (owner != 0) {
      const int source = __ffs(static_cast<int>(owner)) - 1;
      found.sequence.query = __shfl_sync(kAllLanes, s.query, source);
      found.sequence.queries = __shfl_sync(kAllLanes, s.queries, source);
      found.sequence.key = __shfl_sync(kAllLanes, s.key, source);
      found.sequence.keys = __shfl_sync(kAllLanes, s.keys, source);
      found.index = tile - __shfl_sync(kAllLanes, end - tiles, source);
      return true;
    }
    tiles_before = __shfl_sync(kAllLanes, end, kWarpLanes - 1);
    query_end = __shfl_sync(kAllLanes, query_ends, kWarpLanes - 1);
    key_end = __shfl_sync(kAllLanes, key_ends, kWarpLanes - 1);
  }
  return false;
}

}  // namespace lk::cuda
