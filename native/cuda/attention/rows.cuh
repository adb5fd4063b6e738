// The query rows of a key head: row `flat` of a sequence is query flat / group in head flat % group of its group, so that
// all heads of a group read each key once.
#pragma once

#include "cuda/attention/sequences.cuh"

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

}  // namespace lk::cuda
