// Every line of inline assembly: one wrapper an instruction. In a build for the emulator the same wrappers call its engine.
// Addresses of shared memory are those of its window (shared_address); wrappers that a whole warp executes together are
// marked "warp".
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#ifdef LK_EMULATED
#include "emulator/ptx.h"
#define LK_PTX(emulated, ...) emulated
#else
#define LK_PTX(emulated, ...) __VA_ARGS__
#endif

namespace lk::cuda::ptx {

__device__ __forceinline__ uint32_t shared_address(const void* shared) {
  return LK_PTX(emulator::shared_address(shared), static_cast<uint32_t>(__cvta_generic_to_shared(shared)));
}

// ---- conversions (sm_80) ---------------------------------------------------------------------------------------

// Two floats, rounded to nearest even, as one word: `low` in its lower half. What a NaN holds is lost.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#ifdef LK_EMULATED
  return uint32_t{__bfloat16_as_ushort(__float2bfloat16_rn(low))} |
         uint32_t{__bfloat16_as_ushort(__float2bfloat16_rn(high))} << 16;
#else
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#endif
}
__device__ __forceinline__ uint32_t pack_f16(float low, float high) {
#ifdef LK_EMULATED
  return uint32_t{__half_as_ushort(__float2half_rn(low))} | uint32_t{__half_as_ushort(__float2half_rn(high))} << 16;
#else
  uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#endif
}

// ---- asynchronous copies (sm_80) -------------------------------------------------------------------------------

// 16 bytes at `to` (shared) become the first `bytes` (0 ... 16) at `from` (global) and zeros; both 16-byte aligned, past the
// L1 cache. Visible to this thread after a wait for the group that it was committed to.
__device__ __forceinline__ void cp_async_16(uint32_t to, const void* from, uint32_t bytes) {
  LK_PTX(emulator::cp_async(to, from, 16, bytes),
         asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
                      "r"(bytes)
                      : "memory"));
}
__device__ __forceinline__ void cp_async_commit() {
  LK_PTX(emulator::cp_async_commit(), asm volatile("cp.async.commit_group;" ::: "memory"));
}
// Until at most kPending of this thread's groups, the latest, are under way.
template <int kPending>
__device__ __forceinline__ void cp_async_wait() {
  LK_PTX(emulator::cp_async_wait(kPending), asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory"));
}

// ---- matrices of 8 x 8 elements of 16 bits ---------------------------------------------------------------------

// Warp: four matrices; lane l gives the address of row l % 8 of matrix l / 8 and gets, in m[i], elements 2 * (l % 4) and the
// next of row l / 4 of matrix i.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&m)[4], uint32_t row) {
  LK_PTX(emulator::ldmatrix(m, row, 4, false),
         asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                      : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                      : "r"(row)
                      : "memory"));
}
// Warp: the same of the transposed matrices: elements (2 * (l % 4), l / 4) and (2 * (l % 4) + 1, l / 4) of matrix i.
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&m)[4], uint32_t row) {
  LK_PTX(emulator::ldmatrix(m, row, 4, true),
         asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                      : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                      : "r"(row)
                      : "memory"));
}

// ---- tensor cores (sm_80) --------------------------------------------------------------------------------------

// Warp: d [16, 8] F32 += a [16, 16] * b [16, 8]. With g = lane / 4, c = 2 * (lane % 4):
//   a[0]: (g, c) (g, c + 1)    a[1]: (g + 8, c) ...    a[2]: (g, c + 8) ...    a[3]: (g + 8, c + 8) ...
//   b0: (c, g) (c + 1, g)      b1: (c + 8, g) ...
//   d[0], d[1]: (g, c), (g, c + 1)      d[2], d[3]: (g + 8, c), (g + 8, c + 1)
__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  LK_PTX(emulator::mma_m16n8k16(d, a, b0, b1, false),
         asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
                      "{%8, %9}, {%0, %1, %2, %3};"
                      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1)));
}
__device__ __forceinline__ void mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  LK_PTX(emulator::mma_m16n8k16(d, a, b0, b1, true),
         asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
                      "{%8, %9}, {%0, %1, %2, %3};"
                      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1)));
}

}  // namespace lk::cuda::ptx

#undef LK_PTX
