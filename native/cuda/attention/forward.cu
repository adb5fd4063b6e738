// attention_forward: a block owns the outputs of some query rows and goes once through the keys that they see.
//
//   for each panel of 32 keys:   S = scale * Q * K^T                      soft-capped, masked
//                                m' = max(m, max S)
//                                P = exp(S - m')
//                                O = exp(m - m') * O + P * V,  l = exp(m - m') * l + sum P
//   y = O / l,  log_sum_exp = m + log l
//
// Shared memory: the rows of q, one panel (of K, then of V), and P. Sizes of heads up to 64, 128, 256 and 512, with as many
// rows a warp as leave 32 sums of O in each lane.
#include "cuda/attention/attention.h"
#include "cuda/attention/rows.cuh"
#include "cuda/attention/tile.cuh"
#include "cuda/block.cuh"
#include "cuda/launch.cuh"

namespace lk::cuda {
namespace {

struct ForwardOutputs {
  AnyMatrix y;
  float* log_sum_exp;  // null: not wanted
  int64_t log_sum_exp_stride;
};

// Of two numbers, or of a number and a NaN: the number.
struct Largest {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

template <int kDepth>
struct ForwardShared {
  static constexpr int kRows = 1024 / kDepth;  // of a warp
  static constexpr int kBlockRows = kRows * kAttentionWarps;

  alignas(16) float q[kBlockRows][kDepth];
  alignas(16) Panel<kDepth> panel;
  alignas(16) float weights[kAttentionWarps][kRows][kPanelRows];
  int32_t positions[kBlockRows];
};

// The rows of one warp. Lane l has the score of key l of a panel, and columns of O.
template <int kDepth>
struct ForwardRows {
  static constexpr int kRows = ForwardShared<kDepth>::kRows;

  float largest[kRows];  // m
  float sum[kRows];      // l, the part of this lane
  LaneSums<kDepth, kRows> out;

  __device__ void start() {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      largest[r] = -INFINITY;
      sum[r] = 0.0f;
    }
    clear<kDepth, kRows>(out);
  }

  // `score` of this lane's key, -infinity where row r does not see it, becomes its weight.
  __device__ float soften(int r, float score) {
    const float reference = fmaxf(largest[r], warp_reduce(score, Largest{}));
    // Rows that have seen no key yet have no finite reference: their weights are 0 with any.
    const float finite = reference == -INFINITY ? 0.0f : reference;
    const float factor = expf(largest[r] - finite), weight = expf(score - finite);
    largest[r] = reference;
    sum[r] = fmaf(sum[r], factor, weight);
#pragma unroll
    for (int chunk = 0; chunk < Panel<kDepth>::kChunks; ++chunk) {
#pragma unroll
      for (int c = 0; c < Panel<kDepth>::kLaneColumns; ++c) out[chunk][r][c] *= factor;
    }
    return weight;
  }
};

template <int kDepth>
__global__ void __launch_bounds__(kAttentionThreads, 2)
    attention_forward_kernel(AttentionArgs a, ForwardOutputs outputs) {
  using Shared = ForwardShared<kDepth>;
  constexpr int kRows = Shared::kRows, kChunk = Panel<kDepth>::kChunk, kChunks = Panel<kDepth>::kChunks;
  constexpr int kStride = Panel<kDepth>::kStride, kLaneColumns = Panel<kDepth>::kLaneColumns;
  auto& shared = *reinterpret_cast<Shared*>(LK_SHARED_MEMORY());
  const int warp = warp_index(), lane = lane_index();
  const int64_t kv_head = blockIdx.x % a.kv_heads;
  SequenceTile tile;
  if (!find_query_tile<Shared::kBlockRows>(a, tile)) return;

  const QueryRows rows{a, tile.sequence, kv_head};
  const int64_t first_row = tile.index * Shared::kBlockRows, warp_row = first_row + warp * kRows;
  const int64_t last_row = last_query_row<Shared::kBlockRows>(rows, first_row);
  read_queries(a, rows, first_row, shared.q, shared.positions);

  ForwardRows<kDepth> mine;
  mine.start();
  const int64_t end_key = rows.position(last_row) + 1;
  for (int64_t key = first_seen(a, rows.position(first_row)); key < end_key; key += kPanelRows) {
    float scores[kRows] = {};
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      __syncthreads();  // the panel of before has been read
      read_rows<kLaneColumns>(
          a, a.k, [&](int r) { return key_start(a, tile.sequence, kv_head, key + r, a.k.stride); }, kPanelRows,
          chunk * kChunk, kChunk, 1.0f, &shared.panel.values[0][0], kStride);
      __syncthreads();
      dots<kRows, kChunk>(&shared.q[warp * kRows][chunk * kChunk], kDepth, shared.panel.values[lane], scores);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t position = shared.positions[warp * kRows + r], seen = key + lane;
      float score = scores[r];
      if (a.softcap > 0.0f) score = a.softcap * tanhf(score / a.softcap);
      if (seen > position || seen < first_seen(a, position)) score = -INFINITY;
      shared.weights[warp][r][lane] = mine.soften(r, score);
    }
    __syncwarp();
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      __syncthreads();
      read_rows<kLaneColumns>(
          a, a.v, [&](int r) { return key_start(a, tile.sequence, kv_head, key + r, a.v.stride); }, kPanelRows,
          chunk * kChunk, kChunk, 1.0f, &shared.panel.values[0][0], kStride);
      __syncthreads();
      accumulate(shared.weights[warp], &shared.panel.values[0][lane * kLaneColumns], kStride, mine.out[chunk]);
    }
  }

#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = warp_row + r, start = rows.start(row, outputs.y.stride);
    const float sum = warp_reduce(mine.sum[r], Add{});
    if (start < 0) continue;
    write_columns<kDepth, kRows>(a, mine.out, r, 1.0f / sum, outputs.y, start);
    if (outputs.log_sum_exp && lane == 0) {
      outputs.log_sum_exp[rows.row(row) * outputs.log_sum_exp_stride + rows.head(row)] = mine.largest[r] + logf(sum);
    }
  }
}

template <int kDepth>
void launch_forward(Device& device, const AttentionArgs& args, const ForwardOutputs& outputs) {
  using Shared = ForwardShared<kDepth>;
  launch(device, attention_forward_kernel<kDepth>, attention_grid(args, args.q_rows * args.group, Shared::kBlockRows),
         dim3(kAttentionThreads), sizeof(Shared), args, outputs);
}

}  // namespace

void attention_forward(Device& device, const lk_attention& attention, const lk_tensor& y,
                       const lk_tensor* log_sum_exp) {
  const AttentionArgs args = attention_args(device, attention, "lk_attention_forward", false);
  ForwardOutputs outputs{AnyMatrix(y), nullptr, 0};
  if (log_sum_exp) {
    outputs.log_sum_exp = at_address<float>(log_sum_exp->data);
    outputs.log_sum_exp_stride = log_sum_exp->row_stride;
  }
  if (args.head_dim <= 64) return launch_forward<64>(device, args, outputs);
  if (args.head_dim <= 128) return launch_forward<128>(device, args, outputs);
  if (args.head_dim <= 256) return launch_forward<256>(device, args, outputs);
  launch_forward<512>(device, args, outputs);
}

}  // namespace lk::cuda
