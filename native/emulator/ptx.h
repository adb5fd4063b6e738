// The device side of the engine: what the stand-in headers and the wrappers of cuda/ptx.cuh call, one function an instruction
// or family. Only the current thread of a running launch may call these.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/include/vector_types.h"

// CUDA's built-in variables, of the current thread.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace lk::emulator {

int lane_id();

// Dynamic shared memory: aligned to 1024 bytes, poisoned when a block starts. Addresses of PTX are offsets into a window.
unsigned char* shared_memory();
uint32_t shared_address(const void* pointer);  // __cvta_generic_to_shared

// Barriers. kWholeBlock: all threads of the block, else a multiple of a warp.
constexpr int kWholeBlock = -1;
void bar_sync(int id, int threads);
void bar_arrive(int id, int threads);
enum BarReduce { kCount, kAnd, kOr };
int bar_reduce(bool predicate, int operation);  // __syncthreads_count, _and, _or

// Warp collectives: every lane of `mask` calls the same with the same mask.
enum Shuffle { kIndex, kUp, kDown, kXor };
void sync_warp(uint32_t mask);
uint64_t shuffle(uint32_t mask, uint64_t value, Shuffle kind, int argument, int width);
uint32_t ballot(uint32_t mask, bool predicate);
uint32_t match_any(uint32_t mask, uint64_t value);
enum Reduce { kAdd, kMin, kMax, kAndBits, kOrBits, kXorBits, kMinSigned, kMaxSigned };
uint32_t reduce(uint32_t mask, uint32_t value, Reduce operation);  // redux.sync
uint32_t active_mask();
bool elect(uint32_t mask);

// Atomics: *address becomes function(old, operand), and the old bits are returned. bytes: 4 or 8.
uint64_t atomic_update(void* address, int bytes, uint64_t operand,
                       uint64_t (*function)(uint64_t old, uint64_t operand));
uint64_t atomic_exchange_if(void* address, int bytes, uint64_t expected, uint64_t desired);
void memory_fence();  // __threadfence and its like

// cp.async: `bytes` (4, 8 or 16) at `to` become the first `from_bytes` at `from` and zeros, late.
void cp_async(uint32_t to, const void* from, uint32_t bytes, uint32_t from_bytes);
void cp_async_commit();
void cp_async_wait(int pending_groups);

// Matrices of 8 x 8 elements of 16 bits; count: 1, 2 or 4. `row` of lane l addresses row l % 8 of matrix l / 8.
void ldmatrix(uint32_t* m, uint32_t row, int count, bool transposed);
void stmatrix(const uint32_t* m, uint32_t row, int count, bool transposed);

// mma.sync with F32 accumulators: d += a * b; operands are F16 (half) or BF16.
void mma_m16n8k16(float* d, const uint32_t* a, uint32_t b0, uint32_t b1, bool half);
void mma_m16n8k8(float* d, const uint32_t* a, uint32_t b, bool half);

// A thread that polls memory gives others their turn.
void pause();
uint64_t clock();
[[noreturn]] void trap(const char* what);

}  // namespace lk::emulator
