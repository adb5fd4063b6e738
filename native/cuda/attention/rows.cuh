// The query rows of a key head: row `flat` of a sequence is query flat / group in head flat % group of its group, so that
// all heads of a group read each key once.
#pragma once

#include "cuda/attention/sequences.cuh"
#include "cuda/attention/tile.cuh"

namespace lk::cuda {

struct QueryRows {
  const AttentionArgs& args;
  const Sequence& sequence;
  int64_t kv_head;

  __device__ int64_t count() const { return sequence.queries * args.group; }
  __device__ int64_t query(int64_t flat) const { return flat / args.group; }
  __device__ int64_t row(int64_t flat) const { return sequence.query + query(flat); }
  __device__ int64_t head(int64_t flat) const { return kv_head * args.group + flat % args.group; }
  __device__ int64_t position(int64_t flat) const { return sequence.first_position() + query(flat); }
  // First element of the run in a tensor whose rows are `stride` apart; -1 behind the last row.
  __device__ int64_t start(int64_t flat, int64_t stride) const {
    return flat < count() ? row(flat) * stride + head(flat) * args.head_dim : -1;
  }
};

// First element of the run of key `key` of the sequence; -1 behind the last key.
__device__ inline int64_t key_start(const AttentionArgs& a, const Sequence& s, int64_t kv_head, int64_t key,
                                    int64_t stride) {
  return key < s.keys ? (s.key + key) * stride + kv_head * a.head_dim : -1;
}

// Keys [first, position] are seen from `position`.
__device__ inline int64_t first_seen(const AttentionArgs& a, int64_t position) {
  return a.window > 0 && position >= a.window ? position - a.window + 1 : 0;
}

// The query rows of this block: kBlockRows from tile.index * kBlockRows. False where there are none.
template <int kBlockRows>
__device__ bool find_query_tile(const AttentionArgs& a, SequenceTile& tile) {
  // The last tiles first: their rows see the most keys. The very last lies behind those of all sequences.
  const int64_t last_tile = gridDim.x / a.kv_heads - 1, tile_index = last_tile - blockIdx.x / a.kv_heads;
  const auto tiles_of = [&](const Sequence& s) { return ceil_div(s.queries * a.group, kBlockRows); };
  return find_tile(a, tile_index, blockIdx.x == 0 && warp_index() == 0, tiles_of, tile);
}

// The last query row of a block that is there.
template <int kBlockRows>
__device__ int64_t last_query_row(const QueryRows& rows, int64_t first_row) {
  const int64_t last = first_row + kBlockRows - 1;
  return rows.count() - 1 < last ? rows.count() - 1 : last;
}

// scale * q of the block's rows, and their positions, into shared memory.
template <int kDepth, int kBlockRows>
__device__ void read_queries(const AttentionArgs& a, const QueryRows& rows, int64_t first_row,
                             float (&q)[kBlockRows][kDepth], int32_t (&positions)[kBlockRows]) {
  read_rows<Panel<kDepth>::kLaneColumns>(
      a, a.q, [&](int r) { return rows.start(first_row + r, a.q.stride); }, kBlockRows, 0, kDepth, a.scale, &q[0][0],
      kDepth);
  if (threadIdx.x < kBlockRows) positions[threadIdx.x] = static_cast<int32_t>(rows.position(first_row + threadIdx.x));
}

}  // namespace lk::cuda
