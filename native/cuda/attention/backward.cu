// attention_backward: scores are made again, panel by panel, from q, k and log_sum_exp. With Z the scores after scale and
// soft cap, and delta = sum over d of dy * y by rows:
//
//   P = exp(Z - log_sum_exp)         dZ = P * (dy * V^T - delta)         dS = dZ * (1 - (Z / softcap)^2)
//   dq = scale * dS * K              dk = scale * dS^T * Q               dv = P^T * dy
//
// Two kernels, each of which owns what it writes, so that no sum is shared: one goes by query rows (dq, and delta for the
// other), one by keys (dk and dv of all query heads of their group). Half as many rows a warp as in forward, since two
// operands stay in shared memory.
#include "cuda/attention/attention.h"
#include "cuda/attention/rows.cuh"
#include "cuda/attention/tile.cuh"
#include "cuda/block.cuh"
#include "cuda/launch.cuh"

namespace lk::cuda {
namespace {

struct BackwardTensors {
  AnyMatrix y, dy, dq, dk, dv;
  const float* log_sum_exp;
  int64_t log_sum_exp_stride;
  float* delta;  // [query rows, heads]
};

template <int kDepth>
struct BackwardShared {
  static constexpr int kRows = 512 / kDepth;  // of a warp
  static constexpr int kBlockRows = kRows * kAttentionWarps;

  alignas(16) float left[kBlockRows][kDepth];   // q, or k
  alignas(16) float right[kBlockRows][kDepth];  // dy, or v
  alignas(16) Panel<kDepth> panel;              // of the other side
  alignas(16) float p[kAttentionWarps][kRows][kPanelRows];
  alignas(16) float ds[kAttentionWarps][kRows][kPanelRows];
  int32_t positions[kBlockRows];
};

// P and dS of one pair of query and key, from scale * q·k and dy·v.
struct PairGradient {
  float p, ds;
};
__device__ inline PairGradient pair_gradient(float score, float dp, float log_sum_exp, float delta, float softcap) {
  float slope = 1.0f;
  if (softcap > 0.0f) {
    const float t = tanhf(score / softcap);
    score = softcap * t;
    slope = 1.0f - t * t;
  }
  const float p = expf(score - log_sum_exp);
  return {p, p * (dp - delta) * slope};
}

template <int kDepth>
using BackwardSums = LaneSums<kDepth, BackwardShared<kDepth>::kRows>;

// Replaces the panel by columns [first, first + kChunk) of 32 runs. All threads; barriers around it.
template <int kDepth, typename StartOf>
__device__ void read_panel(const AttentionArgs& a, Panel<kDepth>& panel, const AnyMatrix& from, const StartOf& start_of,
                           int first) {
  __syncthreads();  // the panel of before has been read
  read_rows<Panel<kDepth>::kLaneColumns>(a, from, start_of, kPanelRows, first, Panel<kDepth>::kChunk, 1.0f,
                                         &panel.values[0][0], Panel<kDepth>::kStride);
  __syncthreads();
}

// sums[r] = rows r of this warp times the runs of a panel, which goes through all chunks.
template <int kDepth, typename StartOf>
__device__ void panel_dots(const AttentionArgs& a, Panel<kDepth>& panel, const AnyMatrix& from, const StartOf& start_of,
                           const float (&rows)[BackwardShared<kDepth>::kBlockRows][kDepth],
                           float (&sums)[BackwardShared<kDepth>::kRows]) {
  constexpr int kRows = BackwardShared<kDepth>::kRows, kChunk = Panel<kDepth>::kChunk;
  const int warp = warp_index(), lane = lane_index();
#pragma unroll
  for (int r = 0; r < kRows; ++r) sums[r] = 0.0f;
#pragma unroll
  for (int chunk = 0; chunk < Panel<kDepth>::kChunks; ++chunk) {
    read_panel<kDepth>(a, panel, from, start_of, chunk * kChunk);
    dots<kRows, kChunk>(&rows[warp * kRows][chunk * kChunk], kDepth, panel.values[lane], sums);
  }
}

// sums += weights of this warp times the runs of a panel; `loaded`: the panel holds the one chunk that there is.
template <int kDepth, typename StartOf>
__device__ void panel_accumulate(const AttentionArgs& a, Panel<kDepth>& panel, const AnyMatrix& from,
                                 const StartOf& start_of, bool loaded,
                                 const float (&weights)[BackwardShared<kDepth>::kRows][kPanelRows],
                                 BackwardSums<kDepth>& sums) {
  constexpr int kLaneColumns = Panel<kDepth>::kLaneColumns;
#pragma unroll
  for (int chunk = 0; chunk < Panel<kDepth>::kChunks; ++chunk) {
    if (Panel<kDepth>::kChunks > 1 || !loaded)
      read_panel<kDepth>(a, panel, from, start_of, chunk * Panel<kDepth>::kChunk);
    accumulate(weights, &panel.values[0][lane_index() * kLaneColumns], Panel<kDepth>::kStride, sums[chunk]);
  }
}

// ---- dq and delta --------------------------------------------------------------------------------------------------

template <int kDepth>
__global__ void __launch_bounds__(kAttentionThreads, 3) attention_dq_kernel(AttentionArgs a, BackwardTensors t) {
  using Shared = BackwardShared<kDepth>;
  constexpr int kRows = Shared::kRows, kLaneColumns = Panel<kDepth>::kLaneColumns;
  auto& shared = *reinterpret_cast<Shared*>(LK_SHARED_MEMORY());
  const int warp = warp_index(), lane = lane_index();
  const int64_t kv_head = blockIdx.x % a.kv_heads;
  SequenceTile tile;
  if (!find_query_tile<Shared::kBlockRows>(a, tile)) return;

  const QueryRows rows{a, tile.sequence, kv_head};
  const int64_t first_row = tile.index * Shared::kBlockRows, warp_row = first_row + warp * kRows;
  const int64_t last_row = last_query_row<Shared::kBlockRows>(rows, first_row);
  read_queries(a, rows, first_row, shared.left, shared.positions);
  read_rows<kLaneColumns>(
      a, t.dy, [&](int r) { return rows.start(first_row + r, t.dy.stride); }, Shared::kBlockRows, 0, kDepth, 1.0f,
      &shared.right[0][0], kDepth);
  __syncthreads();

  float delta[kRows], log_sum_exp[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = warp_row + r, start = rows.start(row, t.y.stride);
    float sum = 0.0f;
    if (start >= 0) {
      for (int d = lane * kLaneColumns; d < kDepth; d += Panel<kDepth>::kChunk) {
        float y[kLaneColumns];
        t.y.load<kLaneColumns>(0, start + d, a.head_dim - d, y);
#pragma unroll
        for (int i = 0; i < kLaneColumns; ++i) sum = fmaf(y[i], shared.right[warp * kRows + r][d + i], sum);
      }
    }
    delta[r] = warp_reduce(sum, Add{});
    log_sum_exp[r] = 0.0f;
    if (start < 0) continue;
    log_sum_exp[r] = t.log_sum_exp[rows.row(row) * t.log_sum_exp_stride + rows.head(row)];
    if (lane == 0) t.delta[rows.row(row) * a.kv_heads * a.group + rows.head(row)] = delta[r];
  }

  BackwardSums<kDepth> dq;
  clear<kDepth, kRows>(dq);
  const int64_t end_key = rows.position(last_row) + 1;
  for (int64_t key = first_seen(a, rows.position(first_row)); key < end_key; key += kPanelRows) {
    const auto k_start = [&](int r) { return key_start(a, tile.sequence, kv_head, key + r, a.k.stride); };
    const auto v_start = [&](int r) { return key_start(a, tile.sequence, kv_head, key + r, a.v.stride); };
    float scores[kRows], dp[kRows];
    panel_dots<kDepth>(a, shared.panel, a.v, v_start, shared.right, dp);
    panel_dots<kDepth>(a, shared.panel, a.k, k_start, shared.left, scores);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t position = shared.positions[warp * kRows + r], seen = key + lane;
      const bool masked = seen > position || seen < first_seen(a, position);
      const PairGradient g = pair_gradient(scores[r], dp[r], log_sum_exp[r], delta[r], a.softcap);
      shared.ds[warp][r][lane] = masked ? 0.0f : g.ds;
    }
    __syncwarp();
    panel_accumulate<kDepth>(a, shared.panel, a.k, k_start, true, shared.ds[warp], dq);
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t start = rows.start(warp_row + r, t.dq.stride);
    if (start >= 0) write_columns<kDepth, kRows>(a, dq, r, a.scale, t.dq, start);
  }
}

// ---- dk and dv -----------------------------------------------------------------------------------------------------

template <int kDepth>
__global__ void __launch_bounds__(kAttentionThreads, 3) attention_dkdv_kernel(AttentionArgs a, BackwardTensors t) {
  using Shared = BackwardShared<kDepth>;
  constexpr int kRows = Shared::kRows, kLaneColumns = Panel<kDepth>::kLaneColumns;
  auto& shared = *reinterpret_cast<Shared*>(LK_SHARED_MEMORY());
  const int warp = warp_index(), lane = lane_index();
  const int64_t kv_head = blockIdx.x % a.kv_heads;
  SequenceTile tile;  // the first keys are seen by most queries: they come first
  const auto tiles_of = [&](const Sequence& s) { return ceil_div(int64_t{s.keys}, Shared::kBlockRows); };
  if (!find_tile(a, blockIdx.x / a.kv_heads, false, tiles_of, tile)) return;

  const QueryRows rows{a, tile.sequence, kv_head};
  const Sequence& s = tile.sequence;
  const int64_t first_key = tile.index * Shared::kBlockRows, warp_key = first_key + warp * kRows;
  const int64_t last_key =
      s.keys - 1 < first_key + Shared::kBlockRows - 1 ? s.keys - 1 : first_key + Shared::kBlockRows - 1;
  read_rows<kLaneColumns>(
      a, a.k, [&](int r) { return key_start(a, s, kv_head, first_key + r, a.k.stride); }, Shared::kBlockRows, 0, kDepth,
      a.scale, &shared.left[0][0], kDepth);
  read_rows<kLaneColumns>(
      a, a.v, [&](int r) { return key_start(a, s, kv_head, first_key + r, a.v.stride); }, Shared::kBlockRows, 0, kDepth,
      1.0f, &shared.right[0][0], kDepth);

  BackwardSums<kDepth> dk, dv;
  clear<kDepth, kRows>(dk);
  clear<kDepth, kRows>(dv);
  // The queries that see any of these keys stand at positions [first_key, end_position).
  int64_t first_query = first_key - s.first_position(), end_query = s.queries;
  if (first_query < 0) first_query = 0;
  if (a.window > 0 && last_key + a.window - s.first_position() < end_query) {
    end_query = last_key + a.window - s.first_position();
  }
  for (int64_t first = first_query * a.group; first < end_query * a.group; first += kPanelRows) {
    const auto q_start = [&](int r) { return rows.start(first + r, a.q.stride); };
    const auto dy_start = [&](int r) { return rows.start(first + r, t.dy.stride); };
    float scores[kRows], dp[kRows];
    panel_dots<kDepth>(a, shared.panel, a.q, q_start, shared.left, scores);
    panel_dots<kDepth>(a, shared.panel, t.dy, dy_start, shared.right, dp);

    const int64_t row = first + lane;
    const bool missing = row >= rows.count();
    const int64_t position = missing ? -1 : rows.position(row);
    float log_sum_exp = 0.0f, delta = 0.0f;
    if (!missing) {
      log_sum_exp = t.log_sum_exp[rows.row(row) * t.log_sum_exp_stride + rows.head(row)];
      delta = t.delta[rows.row(row) * a.kv_heads * a.group + rows.head(row)];
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t key = warp_key + r;
      const bool masked = key > position || key < first_seen(a, position);
      const PairGradient g = pair_gradient(scores[r], dp[r], log_sum_exp, delta, a.softcap);
      shared.p[warp][r][lane] = masked ? 0.0f : g.p;
      shared.ds[warp][r][lane] = masked ? 0.0f : g.ds;
    }
    __syncwarp();
    panel_accumulate<kDepth>(a, shared.panel, t.dy, dy_start, true, shared.p[warp], dv);
    panel_accumulate<kDepth>(a, shared.panel, a.q, q_start, false, shared.ds[warp], dk);
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t key = warp_key + r;
    if (key >= s.keys) continue;
    write_columns<kDepth, kRows>(a, dk, r, a.scale, t.dk, key_start(a, s, kv_head, key, t.dk.stride));
    write_columns<kDepth, kRows>(a, dv, r, 1.0f, t.dv, key_start(a, s, kv_head, key, t.dv.stride));
  }
}

template <int kDepth>
void launch_backward(Device& device, const AttentionArgs& args, const BackwardTensors& tensors) {
  using Shared = BackwardShared<kDepth>;
  const dim3 threads(kAttentionThreads);
  launch(device, attention_dq_kernel<kDepth>, attention_grid(args, args.q_rows * args.group, Shared::kBlockRows),
         threads, sizeof(Shared), args, tensors);
  launch(device, attention_dkdv_kernel<kDepth>, attention_grid(args, args.k_rows, Shared::kBlockRows), threads,
         sizeof(Shared), args, tensors);
}

}  // namespace

void attention_backward(Device& device, const lk_attention& attention, const lk_tensor& y, const lk_tensor& dy,
                        const lk_tensor& log_sum_exp, const lk_tensor& dq, const lk_tensor& dk, const lk_tensor& dv) {
  const AttentionArgs args = attention_args(device, attention, "lk_attention_backward", true);
  const Workspace delta(device, static_cast<size_t>(args.q_rows * attention.heads) * sizeof(float));
  const BackwardTensors tensors{AnyMatrix(y),           AnyMatrix(dy),
                                AnyMatrix(dq),          AnyMatrix(dk),
                                AnyMatrix(dv),          at_address<const float>(log_sum_exp.data),
                                log_sum_exp.row_stride, reinterpret_cast<float*>(delta.data())};
  if (args.head_dim <= 64) return launch_backward<64>(device, args, tensors);
  if (args.head_dim <= 128) return launch_backward<128>(device, args, tensors);
  if (args.head_dim <= 256) return launch_backward<256>(device, args, tensors);
  launch_backward<512>(device, args, tensors);
}

}  // namespace lk::cuda
