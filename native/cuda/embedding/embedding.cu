// Token embedding: rows of a table, and their gradient.
//
// Backward sums the rows of equal ids in the order of the tokens, without atomics: link_tokens finds for every token the
// next one of the same id, and whether it is the first; the block of each first token then walks its chain.
#include "cuda/backend.h"
#include "cuda/block.cuh"
#include "cuda/packs.cuh"
#include "cuda/values.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    embedding_kernel(const int32_t* ids, AnyMatrix table, float scale, AnyMatrix out, Extent extent, ValueCheck check) {
  for (int64_t row = blockIdx.x; row < extent.rows; row += gridDim.x) {
    const int32_t id = ids[row];
    if (!check.test(row, id)) continue;
    for (int64_t col = int64_t{threadIdx.x} * kPack; col < extent.cols; col += kThreads * kPack) {
      float v[kPack];
      table.load<kPack>(id, col, extent.cols - col, v);
#pragma unroll
      for (int i = 0; i < kPack; ++i) v[i] *= scale;
      out.store<kPack>(row, col, extent.cols - col, v);
    }
  }
}

constexpr int64_t kNone = -1;

struct TokenLink {
  int64_t next;   // token of the same id, or kNone
  int64_t first;  // 1 where no token before it has this id
};

// The first token of [begin, end) with this id, in strides of a warp; kNone where there is none. For all lanes.
__device__ int64_t find_token(const int32_t* ids, int32_t id, int64_t begin, int64_t end) {
  for (int64_t token = begin; token < end; token += kWarpLanes) {
    const int64_t mine = token + lane_index();
    const unsigned found = __ballot_sync(kAllLanes, mine < end && ids[mine] == id);
    if (found != 0) return token + __ffs(static_cast<int>(found)) - 1;
  }
  return kNone;
}

// One warp a token. Ids out of range are in no chain.
__global__ void __launch_bounds__(kThreads)
    link_tokens_kernel(const int32_t* ids, int64_t tokens, TokenLink* links, ValueCheck check) {
  const int64_t warps = int64_t{gridDim.x} * warp_count();
  for (int64_t token = blockIdx.x * int64_t{warp_count()} + warp_index(); token < tokens; token += warps) {
    const int32_t id = ids[token];
    TokenLink link{kNone, 0};
    if (check.holds(id)) {
      link.next = find_token(ids, id, token + 1, tokens);
      link.first = find_token(ids, id, 0, token) == kNone;
    } else if (lane_index() == 0) {
      check.test(token, id);
    }
    if (lane_index() == 0) links[token] = link;
  }
}

// dtable[id] += scale * dy of all tokens with this id, in their order. A block takes kThreads * kPack columns of a token.
__global__ void __launch_bounds__(kThreads)
    embedding_backward_kernel(const int32_t* ids, const TokenLink* links, AnyMatrix dy, float scale,
                              Matrix<float> dtable, Extent extent) {
  const int64_t col = (int64_t{blockIdx.y} * kThreads + threadIdx.x) * kPack, count = extent.cols - col;
  if (count <= 0) return;
  for (int64_t row = blockIdx.x; row < extent.rows; row += gridDim.x) {
    if (links[row].first == 0) continue;
    float sums[kPack];
    load_floats<kPack>(dtable.at(ids[row], col), count, sums);
    for (int64_t token = row; token != kNone; token = links[token].next) {
      float v[kPack];
      dy.load<kPack>(token, col, count, v);
#pragma unroll
      for (int i = 0; i < kPack; ++i) sums[i] = fmaf(scale, v[i], sums[i]);
    }
    store_floats<kPack>(dtable.at(ids[row], col), count, sums);
  }
}

void embedding(Device& device, const lk_tensor& ids, const lk_tensor& table, float scale, const lk_tensor& out) {
  launch(device, embedding_kernel, row_blocks(out.rows), dim3(kThreads), 0, at_address<const int32_t>(ids.data),
         AnyMatrix(table), scale, AnyMatrix(out), Extent{out.rows, out.cols},
         check_values(device, "lk_embedding", "ids", 0, table.rows));
}

void embedding_backward(Device& device, const lk_tensor& ids, const lk_tensor& dy, float scale,
                        const lk_tensor& dtable) {
  const int32_t* id = at_address<const int32_t>(ids.data);
  const Workspace memory(device, static_cast<size_t>(dy.rows) * sizeof(TokenLink));
  auto* links = reinterpret_cast<TokenLink*>(memory.data());
  launch(device, link_tokens_kernel, row_blocks(ceil_div(dy.rows, kThreads / kWarpLanes)), dim3(kThreads), 0, id,
         dy.rows, links, check_values(device, "lk_embedding_backward", "ids", 0, dtable.rows));
  dim3 blocks = row_blocks(dy.rows);
  blocks.y = static_cast<unsigned>(ceil_div(dy.cols, kThreads * kPack));
  launch(device, embedding_backward_kernel, blocks, dim3(kThreads), 0, id, static_cast<const TokenLink*>(links),
         AnyMatrix(dy), scale, Matrix<float>(dtable), Extent{dy.rows, dy.cols});
}

}  // namespace

void install_embedding(KernelTable& table) {
  table.transformer.embedding = embedding;
  table.transformer.embedding_backward = embedding_backward;
}

}  // namespace lk::cuda
