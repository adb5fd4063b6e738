// AdamW and Adam over all tensors of a step: one launch for up to kTensors of them, one pass, to the bits of the CPU backend
// (cpu/adamw/update.inl). Limit: each parameter, gradient and moment read once, and all but the gradient written once: 28
// bytes an element in F32.
//
// What a kernel must know of the tensors is its argument (kTensors of them fit the 32 KiB that arguments may have): nothing is
// copied, nothing is waited for, and a graph may capture it. Tensors are split into chunks, one for each block of threads:
//
//   chunk    | 0 | 1 | 2 | 0 | 0 | 1 | ...       a block finds its tensor by a search in first_chunk
//   tensor   |     0     | 1 |   2   | ...
//
// Moments in 8 bits: a warp has a block of LK_STATE_BLOCK elements, eight a lane, and keeps its moments in registers between
// the search for the largest and the encoding.
#include <algorithm>

#include "common/adamw.h"
#include "cuda/backend.h"
#include "cuda/block.cuh"
#include "cuda/convert.cuh"
#include "cuda/format4.cuh"
#include "cuda/launch.cuh"

namespace lk::cuda {
namespace {

constexpr int kTensors = 256;
constexpr int kThreads = 256;
constexpr int kCount = 8;  // elements of a thread
constexpr int kChunk = kThreads * kCount;
static_assert(kWarpLanes * kCount == LK_STATE_BLOCK, "a warp has a block of 8-bit moments");

struct Tensor {
  lk_address parameter, gradient, exp_avg, exp_avg_sq, absmax1, absmax2, master;
  int64_t count;
  float l2, decay, step_size;  // of AdamwConstants
  int8_t dtype, gradient_dtype, state_format;
};

struct Step {
  float gradient_scale, one_minus_beta1, beta2, one_minus_beta2, epsilon, inverse_root_correction2;
  int tensors;
  uint32_t first_chunk[kTensors];
  Tensor tensor[kTensors];
};

// Both maps and what lies between their values: shared memory of blocks with 8-bit moments.
struct Maps {
  float first[256], second[256];
  float first_midpoints[256], second_midpoints[256];
};

template <typename T>
__device__ __forceinline__ T* pointer(lk_address address, int64_t element) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address)) + element;
}

template <int kElements>
__device__ __forceinline__ void load(lk_address address, int dtype, int64_t element, int64_t count,
                                     float (&to)[kElements]) {
  AnyMatrix(address, dtype).load(0, element, count, to);
}

__device__ __forceinline__ void update(const Step& step, const Tensor& t, float g_in, float& p, float& m, float& v) {
  const float g = __fmaf_rn(t.l2, p, __fmul_rn(g_in, step.gradient_scale));
  p = __fmul_rn(p, t.decay);
  m = __fmaf_rn(step.one_minus_beta1, __fsub_rn(g, m), m);
  v = __fmaf_rn(__fmul_rn(step.one_minus_beta2, g), g, __fmul_rn(step.beta2, v));
  const float denominator = __fmaf_rn(__fsqrt_rn(v), step.inverse_root_correction2, step.epsilon);
  p = __fsub_rn(p, __fmul_rn(t.step_size, __fdiv_rn(m, denominator)));
}

// Parameters, moments in F32 `m` and `v`, of `count` elements from `element` on: all take their step; moments stay here.
template <int kElements>
__device__ __forceinline__ void update_elements(const Step& step, const Tensor& t, int64_t element, int64_t count,
                                                float (&m)[kElements], float (&v)[kElements]) {
  float p[kElements], g[kElements];
  load(t.gradient, t.gradient_dtype, element, count, g);
  if (t.master) {
    load(t.master, LK_F32, element, count, p);
  } else {
    load(t.parameter, t.dtype, element, count, p);
  }
#pragma unroll
  for (int i = 0; i < kElements; ++i) update(step, t, g[i], p[i], m[i], v[i]);
  if (t.master) store_floats(pointer<float>(t.master, element), count, p);
  if (t.dtype == LK_BF16) {
    store_floats(pointer<Bf16>(t.parameter, element), count, p);
  } else {
    store_floats(pointer<float>(t.parameter, element), count, p);
  }
}

// Moments of type T. Vectors of four: whole accesses of neighbours in F32.
template <typename T>
__device__ __forceinline__ void update_float_states(const Step& step, const Tensor& t, int64_t begin) {
  constexpr int kVector = 4;
#pragma unroll
  for (int unit = 0; unit < kCount / kVector; ++unit) {
    const int64_t element = begin + (unit * kThreads + static_cast<int>(threadIdx.x)) * kVector;
    if (element >= t.count) return;
    float m[kVector], v[kVector];
    load_floats(pointer<const T>(t.exp_avg, element), t.count - element, m);
    load_floats(pointer<const T>(t.exp_avg_sq, element), t.count - element, v);
    update_elements(step, t, element, t.count - element, m, v);
    store_floats(pointer<T>(t.exp_avg, element), t.count - element, m);
    store_floats(pointer<T>(t.exp_avg_sq, element), t.count - element, v);
  }
}

__device__ __forceinline__ void decode(const uint8_t* codes, int64_t count, const float* map, float absmax,
                                       float (&to)[kCount]) {
  uint8_t loaded[kCount];
  load_elements(codes, count, loaded);
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] = i < count ? __fmul_rn(map[loaded[i]], absmax) : 0.0f;
}

__device__ __forceinline__ void encode(const float (&values)[kCount], const float* midpoints, float absmax,
                                       int64_t count, uint8_t* to) {
  const bool plain = absmax > 0.0f && absmax <= 3.402823466e38f;
  // an absmax whose reciprocal is no float leaves values below 1
  const float reciprocal = plain ? min(__frcp_rn(absmax), 3.402823466e38f) : 0.0f;
  uint8_t codes[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    codes[i] = plain ? dynamic_code(__fmul_rn(values[i], reciprocal), midpoints) : uint8_t{0};
  }
  store_elements(to, count, codes);
}

// The warp's block. All lanes must call it.
__device__ __forceinline__ void update_block_states(const Step& step, const Tensor& t, int64_t begin,
                                                    const Maps& maps) {
  const int64_t first = begin + int64_t{warp_index()} * LK_STATE_BLOCK, block = first / LK_STATE_BLOCK;
  if (first >= t.count) return;
  const int64_t element = first + lane_index() * kCount, count = t.count - element;
  float* const absmax1 = pointer<float>(t.absmax1, block);
  float* const absmax2 = pointer<float>(t.absmax2, block);
  const float old1 = *absmax1, old2 = *absmax2;
  uint8_t* const codes1 = pointer<uint8_t>(t.exp_avg, element);
  uint8_t* const codes2 = pointer<uint8_t>(t.exp_avg_sq, element);
  float m[kCount], v[kCount];
  decode(codes1, count, maps.first, old1, m);
  decode(codes2, count, maps.second, old2, v);
  if (count > 0) update_elements(step, t, element, count, m, v);
  // A moment that is not finite spoils its block: m is finite where v is, unless its block was spoiled before.
  float largest1 = 0.0f, largest2 = 0.0f, spoiled = 0.0f * (old1 + old2);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i >= count) continue;
    const float magnitude = fabsf(m[i]);
    largest1 = largest1 < magnitude ? magnitude : largest1;
    largest2 = largest2 < v[i] ? v[i] : largest2;
    spoiled = __fmaf_rn(0.0f, v[i], spoiled);
  }
  spoiled = warp_reduce(spoiled, Add{});
  largest1 = __fadd_rn(warp_reduce(largest1, Max{}), spoiled);
  largest2 = __fadd_rn(warp_reduce(largest2, Max{}), spoiled);
  encode(m, maps.first_midpoints, largest1, count, codes1);
  encode(v, maps.second_midpoints, largest2, count, codes2);
  __syncwarp();  // all lanes have read the old ones
  if (lane_index() != 0) return;
  *absmax1 = largest1;
  *absmax2 = largest2;
}

__global__ void __launch_bounds__(kThreads) adamw_kernel(const __grid_constant__ Step step) {
  int low = 0, high = step.tensors;  // the last tensor that begins at this chunk or before
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (step.first_chunk[middle] <= blockIdx.x) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const Tensor& t = step.tensor[low];
  const int64_t begin = int64_t{blockIdx.x - step.first_chunk[low]} * kChunk;
  if (t.state_format == LK_STATE_F32) return update_float_states<float>(step, t, begin);
  if (t.state_format == LK_STATE_BF16) return update_float_states<Bf16>(step, t, begin);
  Maps& maps = *reinterpret_cast<Maps*>(LK_SHARED_MEMORY());
  const unsigned i = threadIdx.x;
  maps.first[i] = kDeviceDynamicMap.value[i];
  maps.second[i] = kDeviceDynamicMapUnsigned.value[i];
  if (i < 255) {
    maps.first_midpoints[i] = midpoint(kDeviceDynamicMap.value, i);
    maps.second_midpoints[i] = midpoint(kDeviceDynamicMapUnsigned.value, i);
  }
  __syncthreads();
  update_block_states(step, t, begin, maps);
}

Tensor describe(const lk_adamw_param& p, const AdamwConstants& k) {
  Tensor t{};
  t.parameter = p.parameter;
  t.gradient = p.gradient;
  t.exp_avg = p.exp_avg;
  t.exp_avg_sq = p.exp_avg_sq;
  t.absmax1 = p.absmax1;
  t.absmax2 = p.absmax2;
  t.master = p.master;
  t.count = p.count;
  t.l2 = k.l2;
  t.decay = k.decay;
  t.step_size = k.step_size;
  t.dtype = static_cast<int8_t>(p.dtype);
  t.gradient_dtype = static_cast<int8_t>(p.gradient_dtype);
  t.state_format = static_cast<int8_t>(p.state_format);
  return t;
}

void adamw_step(Device& device, const lk_adamw_config& config, const lk_adamw_param* parameters, int64_t count) {
  const StepConstants constants(config);
  for (int64_t at = 0; at < count;) {
    Step step{};
    int64_t chunks = 0;
    for (; at < count && step.tensors < kTensors; ++at) {
      if (parameters[at].count == 0) continue;
      const AdamwConstants k(constants, parameters[at]);
      step.gradient_scale = k.gradient_scale;
      step.one_minus_beta1 = k.one_minus_beta1;
      step.beta2 = k.beta2;
      step.one_minus_beta2 = k.one_minus_beta2;
      step.epsilon = k.epsilon;
      step.inverse_root_correction2 = k.inverse_root_correction2;
      step.first_chunk[step.tensors] = static_cast<uint32_t>(chunks);
      step.tensor[step.tensors++] = describe(parameters[at], k);
      chunks += ceil_div(parameters[at].count, kChunk);
    }
    if (chunks == 0) return;
    launch(device, adamw_kernel, dim3(static_cast<unsigned>(chunks)), dim3(kThreads), sizeof(Maps), step);
  }
}

}  // namespace

void install_adamw(KernelTable& table) {
  table.adamw_step = adamw_step;
}

}  // namespace lk::cuda
