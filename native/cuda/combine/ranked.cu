// keep_ranked: which elements have the ranks [skip, skip + keep) by magnitude, by radix selection.
//
// The bits of |x| are ordered as the magnitudes are, with NaN last. A cut "the first n by magnitude" is a key and a number of
// elements with that very key, the first ones by index: three passes count digits of 11, 10 and 10 bits from the top, each
// among the elements that share the digits found before; both cuts, before `skip` and before `skip + keep`, are found in the
// same passes. Then the elements with the very key of a cut are counted by slice, a fixed part of the elements, and the last
// pass knows of each how many stand before it. All choices are made on the device: nothing waits for the host.
#include <algorithm>

#include "cuda/block.cuh"
#include "cuda/combine/combine.h"
#include "cuda/convert.cuh"
#include "cuda/launch.cuh"

namespace lk::cuda {
namespace {

constexpr int kThreads = 256, kCount = 4, kPiece = kThreads * kCount;
constexpr int kCuts = 2, kDigits = 2048, kPasses = 3;
constexpr int64_t kMostSlices = 1024;
using Count = unsigned long long;  // what atomicAdd takes

__host__ __device__ constexpr int shift_of(int pass) {
  return pass == 0 ? 20 : pass == 1 ? 10 : 0;
}
__host__ __device__ constexpr int bits_of(int pass) {
  return pass == 0 ? 11 : 10;
}

struct Cut {
  uint32_t key;  // the digits found so far; in the end the key
  Count left;    // elements still to be taken among those that share them; in the end those with the very key
};

// In a workspace.
struct Selection {
  Cut cuts[kCuts];
  Count digits[kCuts][kDigits];     // of a pass, counted; zero before it
  Count equal[kMostSlices][kCuts];  // elements with the very key of a cut
};

// The elements of a matrix, counted row by row, in slices of whole pieces, one for each block of threads.
struct Slices {
  explicit Slices(const lk_tensor& x) : matrix(x), cols(x.cols), count(x.rows * x.cols) {
    size = ceil_div(ceil_div(count, kPiece), kMostSlices) * kPiece;
    slices = static_cast<unsigned>(ceil_div(count, size));
  }
  AnyMatrix matrix;
  int64_t cols, count;
  int64_t size;  // elements of a slice
  unsigned slices;
};

__device__ __forceinline__ uint32_t key_of(float value) {
  return __float_as_uint(value) & 0x7fffffffu;
}
// A cut before which no element stands has a key above all others.
__device__ __forceinline__ uint32_t key_of(const Cut& cut) {
  return cut.left == 0 ? 0xffffffffu : cut.key;
}

// Calls body(first, values) for the thread's elements of every piece of the block's slice; all threads take part in each.
template <typename Body>
__device__ __forceinline__ void for_each_piece(const Slices& x, const Body& body) {
  const int64_t begin = blockIdx.x * x.size, end = min(x.count, begin + x.size);
  for (int64_t piece = begin; piece < end; piece += kPiece) {
    const int64_t first = piece + static_cast<int>(threadIdx.x) * kCount;
    float values[kCount] = {};
    if (first < x.count) load_flat(x.matrix, x.cols, first, x.count, values);
    body(first, values);
  }
}

__global__ void begin_selection(Selection* selection, Count skip, Count skip_and_keep) {
  selection->cuts[0] = {0, skip};
  selection->cuts[1] = {0, skip_and_keep};
}

// Sums of integers do not depend on the order of the threads.
__global__ void __launch_bounds__(kThreads) count_digits(const Slices x, Selection* selection, int pass) {
  auto* const digits = reinterpret_cast<unsigned*>(LK_SHARED_MEMORY());  // [kCuts][kDigits]
  for (int i = static_cast<int>(threadIdx.x); i < kCuts * kDigits; i += kThreads) digits[i] = 0;
  __syncthreads();
  const int shift = shift_of(pass), above = shift + bits_of(pass);
  const uint32_t mask = (1u << bits_of(pass)) - 1u;
  const uint32_t found[kCuts] = {selection->cuts[0].key >> above, selection->cuts[1].key >> above};
  for_each_piece(x, [&](int64_t first, const float(&values)[kCount]) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (first + i >= x.count) continue;
      const uint32_t key = key_of(values[i]);
#pragma unroll
      for (int cut = 0; cut < kCuts; ++cut) {
        if (key >> above == found[cut]) atomicAdd(&digits[cut * kDigits + (key >> shift & mask)], 1u);
      }
    }
  });
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kCuts * kDigits; i += kThreads) {
    if (digits[i] != 0) atomicAdd(&selection->digits[i / kDigits][i % kDigits], static_cast<Count>(digits[i]));
  }
}

// One block of threads for each cut: the digit, from the top, at which as many elements as are left have been passed.
__global__ void __launch_bounds__(kThreads) choose_digit(Selection* selection, int pass) {
  constexpr int kEach = kDigits / kThreads;
  auto* const scratch = reinterpret_cast<Count*>(LK_SHARED_MEMORY());
  Cut& cut = selection->cuts[blockIdx.x];
  Count* const digits = selection->digits[blockIdx.x];
  const int top = (1 << bits_of(pass)) - 1 - static_cast<int>(threadIdx.x) * kEach;  // this thread's highest digit
  Count counts[kEach] = {}, sum = 0, total;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    if (top < i) continue;
    counts[i] = digits[top - i];
    digits[top - i] = 0;
    sum += counts[i];
  }
  const Count left = cut.left;
  Count passed = block_prefix(sum, scratch, total);
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    if (left > passed && left <= passed + counts[i]) {
      cut.key |= static_cast<uint32_t>(top - i) << shift_of(pass);
      cut.left = left - passed;
    }
    passed += counts[i];
  }
}

__global__ void __launch_bounds__(kThreads) count_equal(const Slices x, Selection* selection) {
  auto* const scratch = reinterpret_cast<Count*>(LK_SHARED_MEMORY());
  const uint32_t keys[kCuts] = {key_of(selection->cuts[0]), key_of(selection->cuts[1])};
  Count equal[kCuts] = {};
  for_each_piece(x, [&](int64_t first, const float(&values)[kCount]) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
#pragma unroll
      for (int cut = 0; cut < kCuts; ++cut) equal[cut] += first + i < x.count && key_of(values[i]) == keys[cut];
    }
  });
#pragma unroll
  for (int cut = 0; cut < kCuts; ++cut) {
    equal[cut] = block_reduce(equal[cut], Add{}, scratch);
    if (threadIdx.x == 0) selection->equal[blockIdx.x][cut] = equal[cut];
  }
}

// out = x between the two cuts, 0 elsewhere.
__global__ void __launch_bounds__(kThreads)
    keep_between(const Slices x, const Selection* selection, const AnyMatrix out) {
  auto* const scratch = reinterpret_cast<Count*>(LK_SHARED_MEMORY());
  uint32_t keys[kCuts];
  Count limit[kCuts], before[kCuts];  // elements with the very key: taken, and standing before the piece
#pragma unroll
  for (int cut = 0; cut < kCuts; ++cut) {
    keys[cut] = key_of(selection->cuts[cut]);
    limit[cut] = selection->cuts[cut].left;
    Count sum = 0;
    for (unsigned slice = threadIdx.x; slice < blockIdx.x; slice += kThreads) sum += selection->equal[slice][cut];
    before[cut] = block_reduce(sum, Add{}, scratch);
  }
  for_each_piece(x, [&](int64_t first, float(&values)[kCount]) {
    bool taken[kCuts][kCount];
#pragma unroll
    for (int cut = 0; cut < kCuts; ++cut) {
      Count equal = 0, all;
#pragma unroll
      for (int i = 0; i < kCount; ++i) equal += first + i < x.count && key_of(values[i]) == keys[cut];
      Count index = before[cut] + block_prefix(equal, scratch, all);
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const uint32_t key = key_of(values[i]);
        taken[cut][i] = key > keys[cut] || (key == keys[cut] && index < limit[cut]);
        index += key == keys[cut];
      }
      before[cut] += all;
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (taken[0][i] || !taken[1][i]) values[i] = 0.0f;
    }
    if (first < x.count) store_flat(out, x.cols, first, x.count, values);
  });
}

}  // namespace

void keep_ranked(Device& device, const lk_tensor& x, int64_t skip, int64_t keep, const lk_tensor& out) {
  constexpr size_t kScratchBytes = kThreads / kWarpLanes * sizeof(Count);
  const Slices slices(x);
  const Workspace workspace(device, sizeof(Selection));
  auto* const selection = reinterpret_cast<Selection*>(workspace.data());
  device.zero(selection, sizeof *selection);
  launch(device, begin_selection, dim3(1), dim3(1), 0, selection, static_cast<Count>(skip),
         static_cast<Count>(skip + keep));
  for (int pass = 0; pass < kPasses; ++pass) {
    launch(device, count_digits, dim3(slices.slices), dim3(kThreads), kCuts * kDigits * sizeof(unsigned), slices,
           selection, pass);
    launch(device, choose_digit, dim3(kCuts), dim3(kThreads), kScratchBytes, selection, pass);
  }
  launch(device, count_equal, dim3(slices.slices), dim3(kThreads), kScratchBytes, slices, selection);
  launch(device, keep_between, dim3(slices.slices), dim3(kThreads), kScratchBytes, slices, selection, AnyMatrix(out));
}

}  // namespace lk::cuda
