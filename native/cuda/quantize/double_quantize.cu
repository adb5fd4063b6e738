// Double quantisation: the absmax values of a 4-bit weight, in 8 bits themselves.
//
// Their sum runs in the order of torch.sum (cpu/quantize/double_quantize.cpp has it as a loop): 32 columns, each a cascade
// of four levels. Level 0 sums 2^power rows, starting from zero, and is added to level 1; after 2^power such additions
// that is added to level 2, and so on. So what reaches level 2 are sums of groups of 4^power rows that depend on nothing
// else: a warp forms each of them, a lane a column, and one warp adds them up in their order.
//
//   absmax  | 32 values: a row | ... 4^power rows: a group, one warp  | next group, next warp | ... | rest, with the end |
#include <algorithm>

#include "common/format4.h"
#include "cuda/block.cuh"
#include "cuda/format4.cuh"
#include "cuda/launch.cuh"
#include "cuda/quantize/quantizer.h"

namespace lk::cuda {
namespace {

constexpr int kVector = 8;             // lanes of the vectors that torch adds up
constexpr int kColumns = 4 * kVector;  // four vectors side by side
constexpr int kSumThreads = 128;       // groups of rows: four warps
constexpr int kCodeThreads = kNestedBlockSize;
static_assert(kColumns == kWarpLanes, "a lane sums a column");

// How a sum of `count` values is split.
struct Cascade {
  explicit Cascade(int64_t count_) : count(count_), rows(count_ / kColumns) {
    const int log2 = rows <= 2 ? 1 : 64 - __builtin_clzll(static_cast<unsigned long long>(rows - 1));  // rounded up
    power = std::max(4, log2 / 4);
    groups = rows >> (2 * power);
  }

  int64_t count, rows;
  int power;
  int64_t groups;  // whole ones
};

// x[first row ... + 2^power) of the lane's column, added from zero.
__device__ __forceinline__ float sum_rows(const float* x, int64_t row, int64_t rows) {
  float sum = 0.0f;
  for (int64_t i = 0; i < rows; ++i) sum = __fadd_rn(sum, x[(row + i) * kColumns + lane_index()]);
  return sum;
}

// sums[group][column]: level 1 when it is added to level 2.
__global__ void __launch_bounds__(kSumThreads) sum_groups(const float* x, const Cascade cascade, float* sums) {
  const int64_t group = int64_t{blockIdx.x} * (kSumThreads / kWarpLanes) + warp_index();
  if (group >= cascade.groups) return;
  const int64_t step = int64_t{1} << cascade.power;
  float level1 = 0.0f;
  for (int64_t i = 0; i < step; ++i) level1 = __fadd_rn(level1, sum_rows(x, (group * step + i) * step, step));
  sums[group * kColumns + lane_index()] = level1;
}

// What is left of the cascade of the lane's column.
__device__ __forceinline__ float sum_column(const float* x, const Cascade& cascade, const float* sums) {
  const int64_t step = int64_t{1} << cascade.power;
  float level1 = 0.0f, level2 = 0.0f, level3 = 0.0f;
  for (int64_t group = 0; group < cascade.groups; ++group) {
    level2 = __fadd_rn(level2, sums[group * kColumns + lane_index()]);
    if ((group + 1) % step == 0) {
      level3 = __fadd_rn(level3, level2);
      level2 = 0.0f;
    }
  }
  int64_t row = cascade.groups * step * step;
  for (; row + step <= cascade.rows; row += step) level1 = __fadd_rn(level1, sum_rows(x, row, step));
  const float level0 = sum_rows(x, row, cascade.rows - row);
  return __fadd_rn(__fadd_rn(__fadd_rn(level0, level1), level2), level3);
}

// Fewer values than a vector has lanes: four columns of at most one row.
__device__ float sum_few(const float* x, int64_t count) {
  const int64_t in_row = count / 4 * 4;
  float sum = in_row ? x[0] : 0.0f;
  for (int64_t i = in_row; i < count; ++i) sum = __fadd_rn(sum, x[i]);
  for (int64_t i = 1; i < in_row; ++i) sum = __fadd_rn(sum, x[i]);
  return sum;
}

// One warp. *offset = sum / count.
__global__ void __launch_bounds__(kWarpLanes)
    finish_mean(const float* x, const Cascade cascade, const float* sums, float* offset) {
  float* shared = reinterpret_cast<float*>(LK_SHARED_MEMORY());  // columns, then the eight lanes
  const int64_t count = cascade.count;
  const float divisor = static_cast<float>(count);
  if (count < kVector) {
    if (threadIdx.x == 0) *offset = __fdiv_rn(sum_few(x, count), divisor);
    return;
  }
  shared[lane_index()] = sum_column(x, cascade, sums);
  __syncwarp();
  float* const lanes = shared + kColumns;
  const int64_t in_vectors = count / kVector * kVector;
  if (lane_index() < kVector) {
    float sum = shared[lane_index()];
    for (int64_t i = cascade.rows * kColumns + lane_index(); i < in_vectors; i += kVector) sum = __fadd_rn(sum, x[i]);
    for (int i = lane_index() + kVector; i < kColumns; i += kVector) sum = __fadd_rn(sum, shared[i]);
    lanes[lane_index()] = sum;
  }
  __syncwarp();
  if (threadIdx.x != 0) return;
  float sum = 0.0f;
  for (int64_t i = in_vectors; i < count; ++i) sum = __fadd_rn(sum, x[i]);
  for (int i = 0; i < kVector; ++i) sum = __fadd_rn(sum, lanes[i]);
  *offset = __fdiv_rn(sum, divisor);
}

struct CodeShared {
  float midpoints[256];
  uint32_t largest[kCodeThreads / kWarpLanes];
};

// A block of threads takes a block of absmax values, a thread one of them.
__global__ void __launch_bounds__(kCodeThreads)
    encode_absmax(const float* absmax, int64_t blocks, const float* offset, const float* nested_code, uint8_t* codes,
                  float* nested_absmax) {
  CodeShared& shared = *reinterpret_cast<CodeShared*>(LK_SHARED_MEMORY());
  const float* const map = nested_code ? nested_code : kDeviceDynamicMap.value;
  if (threadIdx.x < 255) shared.midpoints[threadIdx.x] = midpoint(map, threadIdx.x);
  const int64_t i = int64_t{blockIdx.x} * kCodeThreads + threadIdx.x;
  const float d = i < blocks ? __fsub_rn(absmax[i], *offset) : 0.0f;
  // As unsigned integers: an order in which NaN is above infinity.
  const uint32_t bits = block_reduce(__float_as_uint(d) & 0x7fffffffu, Max{}, shared.largest);
  const float largest = __uint_as_float(bits > 0x7f800000u ? 0x7fc00000u : bits);
  if (threadIdx.x == 0) nested_absmax[blockIdx.x] = largest;
  if (i >= blocks) return;
  const bool plain = bits != 0 && bits < 0x7f800000u;
  codes[i] = plain ? dynamic_code(__fmul_rn(d, __frcp_rn(largest)), shared.midpoints) : uint8_t{0};
}

}  // namespace

int64_t nested_scratch_floats(int64_t blocks) {
  return Cascade(blocks).groups * kColumns + 1;
}

void double_quantize(Device& device, float* absmax, int64_t blocks, lk_weight& out) {
  const Cascade cascade(blocks);
  float *const sums = absmax + blocks, *const offset = sums + cascade.groups * kColumns;
  if (cascade.groups > 0) {
    const int64_t grid = ceil_div(cascade.groups, kSumThreads / kWarpLanes);
    launch(device, sum_groups, dim3(static_cast<unsigned>(grid)), dim3(kSumThreads), 0, absmax, cascade, sums);
  }
  launch(device, finish_mean, dim3(1), dim3(kWarpLanes), (kColumns + kVector) * sizeof(float), absmax, cascade, sums,
         offset);
  launch(device, encode_absmax, dim3(static_cast<unsigned>(ceil_div(blocks, kNestedBlockSize))), dim3(kCodeThreads),
         sizeof(CodeShared), absmax, blocks, offset, at_address<const float>(out.nested_code),
         at_address<uint8_t>(out.absmax_codes), at_address<float>(out.nested_absmax));
  device.copy_to_host(&out.nested_offset, offset, sizeof(float));
}

}  // namespace lk::cuda
